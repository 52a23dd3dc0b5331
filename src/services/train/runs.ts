import { PlatformError, type Run } from '../../contract/index.ts';
import { excludedEntity, type Trainable, trainableNamed, trainablesOf } from '../../define/index.ts';
import type { JobStatus, ServiceHost, Tables } from '../../runtime/index.ts';
import type { RunJob } from './execute.ts';
import { QUEUE, type TrainOptions } from './options.ts';
import {
  cancelOpenRun,
  findRun,
  findRunByKey,
  finishRun,
  insertRun,
  listModelRuns,
  listOpenRuns,
  lockRun,
  type NewRun,
  noteSteps,
  publicRun,
  releaseRun,
  type StoredRun,
} from './run-store.ts';
import type { TrainMetrics } from './metrics.ts';

type Host = ServiceHost<TrainOptions>;

/** The channel on which processes learn that a run was cancelled. */
export const CANCEL_SIGNAL = 'train_cancelled';
/** Above that of every run which a rule queued; jobs of older processes have 0, which lies between. */
const ASKED_PRIORITY = 1_000_000_000;
/** Open runs that are compared with their jobs at a time. */
const OPEN_RUNS_MAX = 1_000;

/**
 * Starts a run; run and job are one transaction.
 *
 * Rejects with MODEL_NOT_FOUND, with UNPROCESSABLE when the model can never pass its gates, and with CONFLICT
 * when the idempotency key came before with another instant.
 */
export async function startRun(
  host: Host,
  modelName: string,
  {
    asOf,
    idempotencyKey,
  }: { readonly asOf?: number | undefined; readonly idempotencyKey?: string | undefined },
): Promise<Run> {
  assertGates(modelOf(host, modelName));
  if (idempotencyKey !== undefined && (idempotencyKey.includes('\0') || !idempotencyKey.isWellFormed())) {
    throw new PlatformError('BAD_REQUEST', `'idempotencyKey' must be Unicode text without NUL characters`);
  }
  const made = await host.tables.transaction((tx) =>
    queueRun(host, tx, { model: modelName, asOf, idempotencyKey, reason: 'asked' }),
  );
  if (made !== undefined) return publicRun(made);
  const known = await findRunByKey(host.tables, modelName, idempotencyKey ?? '');
  if (known === undefined) throw new PlatformError('INTERNAL', 'A run was neither stored nor found');
  if (known.askedAsOf === (asOf ?? null)) return publicRun(known);
  throw new PlatformError(
    'CONFLICT',
    `The idempotency key came before with another 'asOf', for run ${known.id}`,
    {
      details: { run: known.id, asOf: known.askedAsOf },
    },
  );
}

/** Stores a run and its job in the caller's transaction; `undefined` when its idempotency key came before. */
export async function queueRun(
  host: Host,
  tx: Tables,
  asked: Omit<NewRun, 'id' | 'createdAt'>,
): Promise<StoredRun | undefined> {
  const id = host.random.id();
  const run = await insertRun(tx, { ...asked, id, createdAt: host.clock.now() });
  if (run === undefined) return undefined;
  const { model, turn, reason } = run;
  // Who waits for a run goes before those that nobody waits for.
  const priority = (reason === 'asked' ? ASKED_PRIORITY : 0) - turn;
  await host.jobs.send(QUEUE, { run: id } satisfies RunJob, { id, tx, priority, group: model });
  return run;
}

/** Rejects with RUN_NOT_FOUND. */
export async function getRun(host: Host, id: string): Promise<Run> {
  const run = await findRun(host.tables, id);
  if (run !== undefined) return publicRun(run);
  throw new PlatformError('RUN_NOT_FOUND', `There is no run '${id}'`, { details: { run: id } });
}

/** One page of a model's runs, newest first. Rejects with MODEL_NOT_FOUND. */
export async function listRuns(
  host: Host,
  model: string,
  page: { readonly after?: string | undefined; readonly limit: number },
): Promise<{ runs: Run[]; next: string | null }> {
  modelOf(host, model);
  const after = page.after?.replaceAll('\0', '') ?? null;
  const found = await listModelRuns(host.tables, model, { after, limit: page.limit + 1 });
  const runs = found.slice(0, page.limit).map(publicRun);
  return { runs, next: found.length > page.limit ? (runs.at(-1)?.id ?? null) : null };
}

/** Stops a run; one that has ended stays as it is. Rejects with RUN_NOT_FOUND. */
export async function cancelRun(host: Host, metrics: TrainMetrics, id: string): Promise<Run> {
  const run = await cancelOpenRun(host.tables, id, host.clock.now());
  if (run === undefined) return getRun(host, id);
  metrics.runs.add(1, { state: 'cancelled' });
  // The run says what holds: a worker that finds it cancelled stops, whether or not these two arrive.
  await host.signals.notify(CANCEL_SIGNAL);
  await host.jobs.cancel(QUEUE, id);
  return publicRun(run);
}

/**
 * Looks after the runs whose job was given up: its processes died too often, it expired, or it is gone. A run that has
 * done a step since it was last given up gets one more attempt, so that a machine on which processes often die
 * finishes long runs too; any other ends. Resolves to the ended ones.
 */
export async function endLostRuns(host: Host): Promise<StoredRun[]> {
  const ended: StoredRun[] = [];
  for (const run of await listOpenRuns(host.tables, OPEN_RUNS_MAX)) {
    const job = await host.jobs.status(QUEUE, run.id);
    if (whyLost(job) !== undefined && (await resumeOrEnd(host, run))) ended.push(run);
    // Its process died: it waits for another one, and takes the place of no run meanwhile.
    const waits = job?.state === 'queued' || job?.state === 'retry';
    if (run.state === 'running' && waits) await releaseRun(host.tables, run);
  }
  return ended;
}

/** Why a run with that job does not go on; `undefined` when it does. */
function whyLost(job: JobStatus | undefined): string | undefined {
  if (job === undefined) return 'its job is gone';
  if (job.state !== 'failed') return undefined;
  return job.error ?? 'its process ended each time';
}

/** `true` when the run was ended. Several processes look after the same runs: the row's lock lets one of them act. */
function resumeOrEnd(host: Host, run: StoredRun): Promise<boolean> {
  return host.tables.transaction(async (tx) => {
    if (!(await lockRun(tx, run))) return false;
    const reason = whyLost(await host.jobs.status(QUEUE, run.id));
    if (reason === undefined) return false;
    if (await noteSteps(tx, run.id)) {
      await host.jobs.retry(QUEUE, run.id, { tx });
      host.logger.warn('run resumed', { run: run.id, model: run.model, attempts: run.epoch, reason });
      return false;
    }
    const error = `INTERNAL: The run was given up after ${run.epoch} attempts: ${reason}`;
    return finishRun(tx, run, { state: 'failed', version: null, error }, host.clock.now());
  });
}

/** Throws MODEL_NOT_FOUND. */
export function modelOf(host: Host, name: string): Trainable {
  const model = trainableNamed(host.app, name);
  if (model !== undefined) return model;
  throw new PlatformError('MODEL_NOT_FOUND', `App '${host.app.name}' defines no model '${name}'`, {
    details: { model: name, models: trainablesOf(host.app).map((one) => one.name) },
  });
}

/** Throws UNPROCESSABLE when the model can never pass its gates. */
export function assertGates(model: Trainable): void {
  // The gates of a recommender are checked where it is defined.
  if (model.type === 'recommender') return;
  const { name, gates, split } = model;
  if (excludedEntity(split) !== undefined || !gates.some((gate) => gate.metric === 'cardPrecision100'))
    return;
  throw new PlatformError(
    'UNPROCESSABLE',
    `Model '${name}' has a gate on cardPrecision100, which is measured only when its split has 'excludeKnown'`,
  );
}
