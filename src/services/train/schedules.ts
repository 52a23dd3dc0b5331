import { PlatformError, type RunReason, type Schedule, type ScheduleRule } from '../../contract/index.ts';
import {
  type LabelDefinition,
  lastDueAt,
  nextDueAt,
  type RetrainRule,
  retrainText,
  type Source,
  type Trainable,
  trainablesOf,
} from '../../define/index.ts';
import type { ServiceHost, Tables } from '../../runtime/index.ts';
import { type Due, dueByLabels, dueByTime, labelsDueAt, retryAt } from './due.ts';
import type { TrainMetrics } from './metrics.ts';
import type { TrainOptions } from './options.ts';
import { type OutcomeCount, OutcomeCounter } from './outcome-counter.ts';
import { publicRun, type StoredRun } from './run-store.ts';
import { assertGates, modelOf, queueRun } from './runs.ts';
import {
  hasOpenScheduledRun,
  knownPositions,
  lastScheduledRun,
  lockSchedule,
  notePause,
  noteRule,
  readPause,
  readRule,
  type RuleState,
  scheduledEnds,
} from './schedule-store.ts';

type Host = ServiceHost<TrainOptions>;

/** The channel on which the gateway, which wakes train, learns that schedules are others than it knows. */
export const SCHEDULES_SIGNAL = 'train_schedules';

/** How often outcomes are counted, in milliseconds. */
const COUNT_MS = 60_000;
/** A model whose rules could not be looked at is left alone for so long, in milliseconds. */
const AFTER_ERROR_MS = 60_000;

const REASONS: Readonly<Record<RetrainRule['kind'], RunReason>> = {
  every: 'scheduled',
  onNewLabels: 'new-labels',
  // Older callers know no other reason.
  onNewEvents: 'scheduled',
};

/** Queues the runs that are due, whenever it is asked to look. Any number of processes may look at the same rules. */
export class Scheduler {
  readonly #host: Host;
  readonly #metrics: TrainMetrics;
  readonly #outcomes: OutcomeCounter;
  readonly #models: readonly Trainable[];
  readonly #countedMs = new Map<string, number>();
  readonly #failedMs = new Map<string, number>();

  constructor(host: Host, metrics: TrainMetrics) {
    this.#host = host;
    this.#metrics = metrics;
    this.#outcomes = new OutcomeCounter(host.log);
    this.#models = scheduledModels(host);
  }

  /**
   * One look at every rule. What is wrong with one model is logged, and does not keep the others. Rejects with failures that
   * pass, such as of the database: the next look comes soon.
   */
  async look(): Promise<void> {
    const { clock, logger } = this.#host;
    for (const model of this.#models) {
      const nowMs = clock.monotonic();
      if (nowMs - (this.#failedMs.get(model.name) ?? -Infinity) < AFTER_ERROR_MS) continue;
      try {
        await this.#lookAt(model);
      } catch (error) {
        if (PlatformError.is(error) && error.retryable) throw error;
        this.#failedMs.set(model.name, nowMs);
        logger.warn('The schedule of a model could not be looked at', { model: model.name, error });
      }
    }
  }

  async #lookAt(model: Trainable): Promise<void> {
    const { tables, clock } = this.#host;
    const pausedAt = await readPause(tables, model.name);
    for (const rule of model.retrain) {
      if (pausedAt !== null || !this.#isTime(model, rule)) continue;
      // Mostly nothing is to be done: that is found out without a lock.
      const state = await readRule(tables, model.name, retrainText(rule));
      const seen =
        rule.kind === 'every' ? 0 : (await countOutcomes(tables, model, this.#outcomes)).count.seen;
      if (isSettled(state, await dueNow(this.#host, tables, { model, rule, state, seen }))) continue;
      const run = await decide(this.#host, model, { rule, seen });
      if (run !== undefined) this.#metrics.scheduled.add(1, { model: model.name, reason: run.reason });
    }
    await this.#measure(model, pausedAt !== null, clock.now());
  }

  /** Outcomes are counted once a minute at most. */
  #isTime({ name }: Trainable, rule: RetrainRule): boolean {
    if (rule.kind === 'every') return true;
    const nowMs = this.#host.clock.monotonic();
    if (nowMs - (this.#countedMs.get(name) ?? -Infinity) < COUNT_MS) return false;
    this.#countedMs.set(name, nowMs);
    return true;
  }

  async #measure(model: Trainable, isPaused: boolean, now: number): Promise<void> {
    const rule = model.retrain.find(({ kind }) => kind === 'every');
    if (rule?.kind !== 'every') return;
    const { settledAt } = await readRule(this.#host.tables, model.name, retrainText(rule));
    const next = dueByTime(rule, settledAt, now).due ?? nextDueAt(rule, now);
    this.#metrics.scheduleNext.set(isPaused ? Infinity : (next - now) / 1_000, { model: model.name });
  }
}

function scheduledModels({ app }: Host): Trainable[] {
  return trainablesOf(app).filter(({ retrain }) => retrain.length > 0);
}

interface RuleLook {
  readonly model: Trainable;
  readonly rule: RetrainRule;
  readonly state: RuleState;
  /** Outcomes that have ever come; of no use to rules by time. */
  readonly seen: number;
}

async function dueNow(host: Host, tables: Tables, { model, rule, state, seen }: RuleLook): Promise<Due> {
  if (rule.kind === 'every') return dueByTime(rule, state.settledAt, host.clock.now());
  const known = total(await knownPositions(tables, model.name, countedSource(model).name));
  return dueByLabels(rule, { seen, known, asked: state.labelsSeen });
}

/** Whether nothing is due and what is settled stands in the table already. */
function isSettled({ settledAt, labelsSeen }: RuleState, { due, settled }: Due): boolean {
  return due === undefined && settled === (settledAt ?? labelsSeen ?? undefined);
}

/**
 * Decides once more, with the model's lock, and queues the run: what is settled, the run and its job are one transaction, so that
 * a process may die anywhere. A rule stays due while a run that was queued by a rule is open, or while runs that failed
 * are to be left alone.
 */
async function decide(
  host: Host,
  model: Trainable,
  { rule, seen }: Pick<RuleLook, 'rule' | 'seen'>,
): Promise<StoredRun | undefined> {
  const text = retrainText(rule);
  const run = await host.tables.transaction(async (tx) => {
    if ((await lockSchedule(tx, model.name)) !== null) return undefined;
    const state = await readRule(tx, model.name, text);
    const { due, settled } = await dueNow(host, tx, { model, rule, state, seen });
    const note = { settledAt: null, labelsSeen: null, [SETTLED[rule.kind]]: settled };
    if (due === undefined) {
      await noteRule(tx, { model: model.name, rule: text }, note);
      return undefined;
    }
    const now = host.clock.now();
    if (await hasOpenScheduledRun(tx, model.name)) return undefined;
    if ((retryAt(await scheduledEnds(tx, model.name), now) ?? -Infinity) > now) return undefined;
    await noteRule(tx, { model: model.name, rule: text }, note);
    assertGates(model);
    const idempotencyKey = keyOf(rule, due);
    const queued = await queueRun(host, tx, {
      model: model.name,
      asOf: undefined,
      idempotencyKey,
      reason: REASONS[rule.kind],
    });
    await host.signals.notify(SCHEDULES_SIGNAL, tx);
    return queued;
  });
  if (run !== undefined) {
    host.logger.info('run scheduled', { run: run.id, model: model.name, reason: run.reason, rule: text });
  }
  return run;
}

const SETTLED = { every: 'settledAt', onNewLabels: 'labelsSeen', onNewEvents: 'labelsSeen' } as const;

/** The same for the same reason, so that the table of runs has it once. */
function keyOf(rule: RetrainRule, due: number): string {
  if (rule.kind === 'every') return `due:${new Date(due).toISOString()}`;
  return `due:${rule.kind === 'onNewLabels' ? 'labels' : 'events'}:${String(due)}`;
}

/** What a rule that counts waits for: outcomes of a model's label, interactions of a recommender. */
function countedIn(model: Trainable): LabelDefinition | Source {
  return model.type === 'model' ? model.label : model.interactions;
}

function countedSource(model: Trainable): Source {
  return model.type === 'model' ? model.label.from : model.interactions;
}

/** What of {@link countedIn} has ever come, and how much of it the model's last run knew. */
async function countOutcomes(
  tables: Tables,
  model: Trainable,
  outcomes: OutcomeCounter,
): Promise<{ readonly count: OutcomeCount; readonly known: number }> {
  const known = await knownPositions(tables, model.name, countedSource(model).name);
  return { count: await outcomes.count(countedIn(model), known), known: total(known) };
}

function total(positions: readonly number[]): number {
  return positions.reduce((sum, next) => sum + next, 0);
}

/** When each model with rules is trained. */
export async function listSchedules(
  host: Host,
  outcomes: OutcomeCounter,
): Promise<{ schedules: Schedule[] }> {
  const models = scheduledModels(host);
  return { schedules: await Promise.all(models.map((model) => describe(host, model, outcomes))) };
}

/** Rejects with MODEL_NOT_FOUND, and with UNPROCESSABLE when the model has no rule. */
export function pauseSchedule(host: Host, name: string, outcomes: OutcomeCounter): Promise<Schedule> {
  return change({ host, name, outcomes }, async (tx, { pausedAt }) => {
    if (pausedAt === null) await notePause(tx, name, host.clock.now());
  });
}

/** Due instants that passed meanwhile are over; outcomes that came meanwhile count. Rejects as {@link pauseSchedule} does. */
export function resumeSchedule(host: Host, name: string, outcomes: OutcomeCounter): Promise<Schedule> {
  return change({ host, name, outcomes }, async (tx, { model, pausedAt }) => {
    if (pausedAt === null) return;
    await notePause(tx, name, null);
    for (const rule of model.retrain) {
      if (rule.kind !== 'every') continue;
      const settledAt = lastDueAt(rule, host.clock.now());
      await noteRule(tx, { model: name, rule: retrainText(rule) }, { settledAt, labelsSeen: null });
    }
  });
}

async function change(
  { host, name, outcomes }: { readonly host: Host; readonly name: string; readonly outcomes: OutcomeCounter },
  work: (tx: Tables, known: { readonly model: Trainable; readonly pausedAt: number | null }) => Promise<void>,
): Promise<Schedule> {
  const model = modelOf(host, name);
  if (model.retrain.length === 0) {
    throw new PlatformError('UNPROCESSABLE', `Model '${name}' has no rule: its definition has no 'retrain'`, {
      details: { model: name, models: scheduledModels(host).map((one) => one.name) },
    });
  }
  await host.tables.transaction(async (tx) => {
    await work(tx, { model, pausedAt: await lockSchedule(tx, name) });
    await host.signals.notify(SCHEDULES_SIGNAL, tx);
  });
  return describe(host, model, outcomes);
}

async function describe(host: Host, model: Trainable, outcomes: OutcomeCounter): Promise<Schedule> {
  const { tables } = host;
  const [pausedAt, ends, last] = await Promise.all([
    readPause(tables, model.name),
    scheduledEnds(tables, model.name),
    lastScheduledRun(tables, model.name),
  ]);
  return {
    model: model.name,
    pausedAt,
    rules: await Promise.all(model.retrain.map((rule) => describeRule(host, { model, rule }, outcomes))),
    notBefore: retryAt(ends, host.clock.now()),
    lastRun: last === undefined ? null : publicRun(last),
  };
}

async function describeRule(
  host: Host,
  { model, rule }: { readonly model: Trainable; readonly rule: RetrainRule },
  outcomes: OutcomeCounter,
): Promise<ScheduleRule> {
  const { tables, clock } = host;
  const state = await readRule(tables, model.name, retrainText(rule));
  const common = { rule: retrainText(rule), reason: REASONS[rule.kind] };
  if (rule.kind === 'every') {
    const now = clock.now();
    return {
      ...common,
      lastDueAt: lastDueAt(rule, now),
      nextDueAt: nextDueAt(rule, now),
      isDue: dueByTime(rule, state.settledAt, now).due !== undefined,
      labels: null,
    };
  }
  const { count, known } = await countOutcomes(tables, model, outcomes);
  const { records, seen } = count;
  const dueAt = labelsDueAt(rule, { known, asked: state.labelsSeen });
  return {
    ...common,
    lastDueAt: null,
    nextDueAt: null,
    isDue: seen >= dueAt,
    // Whoever counts records by the log alone need not look again before there are so many.
    labels: { source: countedSource(model).name, seen: records, dueAt: records + dueAt - seen },
  };
}
