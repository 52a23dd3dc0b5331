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

export const gateVerdict = z.object({
  metric: z.string(),
  direction: z.enum(['atLeast', 'atMost']),
  bound: z.number(),
  value: z.number(),
  passed: z.boolean(),
});

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
