import { z } from 'zod';
import { READERS, name, page, route, time } from './shared.ts';

export const modelParams = z.object({ model: name }).strict();

const stepStatus = z.object({
  name: z.enum(['dataset', 'split', 'fit', 'evaluate', 'gate', 'bundle']),
  state: z.enum(['waiting', 'running', 'done', 'reused', 'failed']),
  /** Content address of the step: hash of its code version and inputs. */
  key: z.string().nullable(),
  seconds: z.number().nullable(),
  /** Share done, 0 to 1. */
  progress: z.number().min(0).max(1),
  note: z.string().nullable(),
});

/** A gate with what came of it. The gate is all members but the last five; those that are absent of it are absent here. */
export const gateVerdict = z.object({
  metric: z.string(),
  direction: z.enum(['atLeast', 'atMost']),
  bound: z.number(),
  /** The threshold of `recall`, `precision` and `specificity`. */
  at: z.number().optional(),
  /** The value is that of the slice that does worst. */
  slice: z.literal('worst').optional(),
  /** Fewest rows of a slice that counted. */
  rowsMin: z.number().optional(),
  /** The value is that end of its 95 % interval. */
  end: z.enum(['lower', 'upper']).optional(),
  /** The value is how much better than the baseline's it is, and passes above the bound. */
  against: z.literal('baseline').optional(),
  value: z.number(),
  passed: z.boolean(),
  /** The slice that the value is of. */
  where: z.object({ input: z.string(), values: z.string(), rows: z.number() }).optional(),
  /** What the baseline reaches. */
  baseline: z.number().optional(),
  /** Why nothing could be measured: the gate has failed, and the value stands for the worst there is. */
  unmeasured: z.string().optional(),
});

const runReason = z.enum(['asked', 'scheduled', 'new-labels']);
export type RunReason = z.infer<typeof runReason>;

/** A run: one execution of a training pipeline. */
export const run = z.object({
  id: z.string(),
  model: name,
  state: z.enum(['queued', 'running', 'done', 'failed', 'cancelled']),
  asOf: time.nullable(),
  createdAt: time,
  finishedAt: time.nullable(),
  steps: z.array(stepStatus),
  metrics: z.record(z.string(), z.number()),
  gates: z.array(gateVerdict),
  /** Version number that the run registered. */
  version: z.number().int().nullable(),
  error: z.string().nullable(),
  /**
   * Why there is a run: somebody asked, or a rule of the model; a rule by events is `scheduled`, like one by time. Runs of older
   * processes do not say it.
   */
  reason: runReason.optional(),
});
export type Run = z.infer<typeof run>;
export type GateVerdict = z.infer<typeof gateVerdict>;

export const startRun = route('train', 'startRun', 'POST /v1/models/{model}/runs', {
  summary: 'Train now',
  roles: ['scientist'],
  params: modelParams,
  body: z
    .object({
      /** Train with what was matured at this instant, in milliseconds UTC. Default: now. */
      asOf: time.optional(),
      /** A repeated call with the same key answers with the same run. */
      idempotencyKey: z.string().min(1).max(128).optional(),
    })
    .strict(),
  result: run,
});

export const getRun = route('train', 'getRun', 'GET /v1/runs/{id}', {
  summary: 'Progress, steps and metrics of a run',
  roles: READERS,
  params: z.object({ id: z.string().max(128) }).strict(),
  result: run,
});

export const listRuns = route('train', 'listRuns', 'GET /v1/models/{model}/runs', {
  summary: 'Runs of a model, newest first',
  roles: READERS,
  params: modelParams,
  query: page,
  result: z.object({ runs: z.array(run), next: z.string().nullable() }),
});

export const cancelRun = route('train', 'cancelRun', 'POST /v1/runs/{id}/cancel', {
  summary: 'Stop a run',
  roles: ['scientist', 'operator'],
  params: z.object({ id: z.string().max(128) }).strict(),
  result: run,
  idempotent: true,
});

/** A rule by which a model is trained by itself. */
const scheduleRule = z.object({
  /** In words: `every 7d at 03:00`, `500 new labels`, `500 new events`. */
  rule: z.string(),
  /** The reason that its runs have. */
  reason: runReason,
  /** The last due instant, and the next one; null when the rule does not go by time. */
  lastDueAt: time.nullable(),
  nextDueAt: time.nullable(),
  /** Whether a run is due and not queued yet. */
  isDue: z.boolean(),
  /** What a rule by labels counts, or one by events; null for rules by time. */
  labels: z
    .object({
      /** Source of the outcomes, or of a recommender's interactions. */
      source: name,
      /** Outcomes, or interactions, that have ever come. */
      seen: z.number().int(),
      /** With so many a run is due. */
      dueAt: z.number().int(),
    })
    .nullable(),
});
export type ScheduleRule = z.infer<typeof scheduleRule>;

/** When a model is trained by itself. */
const schedule = z.object({
  model: name,
  /** Since when its rules queue nothing; null when they do. */
  pausedAt: time.nullable(),
  rules: z.array(scheduleRule),
  /** No run is queued before this instant, because runs of the schedule failed; null when none did. */
  notBefore: time.nullable(),
  /** The newest run that a rule queued. */
  lastRun: run.nullable(),
});
export type Schedule = z.infer<typeof schedule>;

export const listSchedules = route('train', 'listSchedules', 'GET /v1/schedules', {
  summary: 'When models are trained by themselves, and what came of it',
  roles: [...READERS, 'service'],
  result: z.object({ schedules: z.array(schedule) }),
});

export const pauseSchedule = route('train', 'pauseSchedule', 'POST /v1/models/{model}/schedule/pause', {
  summary: 'Queue no run of a model by its rules until it is resumed',
  roles: ['operator'],
  params: modelParams,
  result: schedule,
  idempotent: true,
});

export const resumeSchedule = route('train', 'resumeSchedule', 'POST /v1/models/{model}/schedule/resume', {
  summary: 'Let the rules of a model queue runs again, from the next due instant on',
  roles: ['operator'],
  params: modelParams,
  result: schedule,
  idempotent: true,
});
