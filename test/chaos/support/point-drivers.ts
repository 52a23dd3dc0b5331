import { routes, type ServiceName } from '../../../src/contract/index.ts';
import type { SeededRandom } from '../../../src/ml/random.ts';
import type { FailPointName } from '../../../src/runtime/index.ts';
import type { Platform } from './platform.ts';
import { release, startRun } from './releases.ts';
import type { Requests } from './requests.ts';

/** What makes a process pass a point. */
export interface DriverContext {
  readonly platform: Platform;
  readonly requests: Requests;
  readonly random: SeededRandom;
  /** The version that is released again and again. */
  readonly version: number;
  /** Another text at each call. */
  readonly unique: () => string;
  /** Runs that were started, which must all end well. */
  readonly runs: Set<string>;
}

/** `pid`: the process that is armed, if the plan says that it is told. */
type Driver = (context: DriverContext, pid: number) => Promise<unknown>;

export interface PointPlan {
  /** Who is to pass it. */
  readonly kind: ServiceName | 'up';
  /** Which process of that kind: any that runs, the next that starts, or the one that {@link PointPlan.drive} is told. */
  readonly which?: 'any' | 'next' | 'told';
  /** It acts at one of so many passages. */
  readonly passages: number;
  /** Makes it pass; without one the load or the clock does. */
  readonly drive?: Driver;
}

/** Age of an order that arrives late, in milliseconds: two days, so that it is of the history on which models are trained. */
const LATE_MS = 172_800_000;
/** How long a driver's call goes on while what it asks is being killed, in milliseconds. */
const PATIENCE_MS = 60_000;

/** On data that no run has seen: one that has is done with what earlier ones computed. */
const train: Driver = async ({ requests, runs, unique }) => {
  const orderId = `late-${unique()}`;
  const order = { orderId, at: Date.now() - LATE_MS, customerId: 'past-0', serial: 0, risk: 0.5 };
  await requests.call(routes.ingestEvents, { params: { source: 'orders' }, body: order }, PATIENCE_MS);
  runs.add((await startRun(requests, unique())).id);
};

const switchRelease: Driver = ({ requests, version, unique }) => release(requests, version, unique());

/** Refused, because its time is none. */
const sendBad = ({ requests, unique }: DriverContext): Promise<unknown> =>
  requests.call(
    routes.ingestEvents,
    {
      params: { source: 'returns' },
      body: { returnId: `bad-${unique()}`, at: 'soon', orderId: 'none' },
    },
    PATIENCE_MS,
  );

/** Puts everything that waits in quarantine back, with a time. */
export const correctBad = async ({ requests }: DriverContext): Promise<void> => {
  const params = { source: 'returns' };
  const { records } = await requests.call(routes.listQuarantine, { params }, PATIENCE_MS);
  if (records.length === 0) return;
  const corrected = records.map(({ id, text }) => ({
    id,
    record: { ...(JSON.parse(text ?? '{}') as Record<string, unknown>), at: Date.now() },
  }));
  // Records that left the quarantine between the two calls make it say so; the next time finds the others.
  await requests
    .call(routes.replayQuarantine, { params, body: { records: corrected } }, PATIENCE_MS)
    .catch((error: unknown) => {
      if (!String(error).includes('RECORD_NOT_FOUND')) throw error;
    });
};

const sendAndCorrectBad: Driver = async (context) => {
  await sendBad(context);
  await correctBad(context);
};

const readWithReceipt: Driver = ({ requests, unique }) => {
  const order = { orderId: unique(), at: Date.now(), customerId: 'past-1', serial: 0, risk: 0.5 };
  const body = { candidates: [order], record: true, waitMs: 0, atClock: true };
  return requests.call(routes.readVector, { params: { vector: 'basket' }, body }, PATIENCE_MS);
};

const terminate: Driver = (_, pid) => Promise.resolve(process.kill(pid, 'SIGTERM'));

function killOne(service: ServiceName): Driver {
  return async ({ platform, random }) => {
    const living = await platform.living(service);
    const one = living[random.integer(Math.max(living.length, 1))];
    if (one !== undefined) process.kill(one.pid, 'SIGKILL');
  };
}

const killPostmaster: Driver = async ({ platform }) => {
  const pid = await platform.postmasterPid();
  if (pid !== undefined) process.kill(pid, 'SIGKILL');
};

/** To the number that there is, so that nothing is left to put right. */
const scaleToSame: Driver = async ({ platform }) => {
  await platform.tandem('scale', 'serve', String((await platform.processes('serve')).length));
};

/** Points that only the first start on a new database passes: see the first phase of the run. */
export const FIRST_START: readonly FailPointName[] = ['migrate.locked', 'migrate.changed', 'migrate.landed'];

/** How each point is made to act. */
export const POINT_PLANS: Readonly<Record<FailPointName, PointPlan>> = {
  'ingest.append.before': { kind: 'ingest', passages: 20 },
  'ingest.append.after': { kind: 'ingest', passages: 20 },
  'ingest.quarantine.after': { kind: 'ingest', passages: 1, drive: sendBad },
  'ingest.replay.appended': { kind: 'ingest', passages: 1, drive: sendAndCorrectBad },
  'log.append.before': { kind: 'ingest', passages: 50 },
  'log.append.committed': { kind: 'ingest', passages: 50 },
  'features.restore.after': { kind: 'features', which: 'next', passages: 1, drive: killOne('features') },
  'features.apply.before': { kind: 'features', passages: 50 },
  'features.snapshot.before': { kind: 'features', passages: 2 },
  'features.snapshot.stored': { kind: 'features', passages: 2 },
  'features.snapshot.noted': { kind: 'features', passages: 2 },
  'features.archive.stored': { kind: 'features', passages: 2 },
  'features.archive.committed': { kind: 'features', passages: 2 },
  'features.archive.merged': { kind: 'features', passages: 1 },
  'features.dataset.stored': { kind: 'features', passages: 1, drive: train },
  'features.receipts.before': { kind: 'features', passages: 1, drive: readWithReceipt },
  'train.run.claimed': { kind: 'train', passages: 1, drive: train },
  'train.step.done': { kind: 'train', passages: 2, drive: train },
  'train.step.recorded': { kind: 'train', passages: 2, drive: train },
  'train.bundle.claimed': { kind: 'train', passages: 1, drive: train },
  'train.run.ending': { kind: 'train', passages: 1, drive: train },
  'registry.version.inserted': { kind: 'registry', passages: 1, drive: train },
  'registry.version.committed': { kind: 'registry', passages: 1, drive: train },
  'registry.release.switched': { kind: 'registry', passages: 2, drive: switchRelease },
  'registry.release.committed': { kind: 'registry', passages: 2, drive: switchRelease },
  'serve.release.loaded': { kind: 'serve', passages: 2, drive: switchRelease },
  'serve.release.swapped': { kind: 'serve', passages: 2, drive: switchRelease },
  'serve.ledger.before': { kind: 'serve', passages: 20 },
  'serve.ledger.committed': { kind: 'serve', passages: 20 },
  'serve.answer.before': { kind: 'serve', passages: 50 },
  'discovery.announce.before': { kind: 'serve', which: 'next', passages: 1, drive: killOne('serve') },
  'discovery.announce.after': { kind: 'ingest', which: 'next', passages: 1, drive: killOne('ingest') },
  'discovery.withdraw.before': { kind: 'serve', which: 'told', passages: 1, drive: terminate },
  'migrate.locked': { kind: 'ingest', passages: 1 },
  'migrate.changed': { kind: 'ingest', passages: 1 },
  'migrate.landed': { kind: 'ingest', passages: 1 },
  'objects.put.written': { kind: 'features', passages: 3 },
  'objects.put.renamed': { kind: 'features', passages: 3 },
  'supervisor.spawned': { kind: 'up', passages: 1, drive: killOne('registry') },
  'supervisor.scaling': { kind: 'up', passages: 1, drive: scaleToSame },
  'embedded.start.before': { kind: 'up', passages: 1, drive: killPostmaster },
  'embedded.start.launched': { kind: 'up', passages: 1, drive: killPostmaster },
};
