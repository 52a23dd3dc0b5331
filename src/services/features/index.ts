import {
  type Event,
  type FeaturesStatus,
  PlatformError,
  type Positions,
  routes,
  servedTopic,
  SOURCE_PARTITIONS,
  sourceTopic,
  type VectorRead,
} from '../../contract/index.ts';
import {
  handler,
  type HandlerEntry,
  type Readiness,
  type RunningService,
  type ServiceDefinition,
  type ServiceHost,
} from '../../runtime/index.ts';
import { Archive } from './archive.ts';
import { Datasets } from './datasets.ts';
import { Feed } from './feed.ts';
import { Lag } from './lag.ts';
import { migrations } from './migrations.ts';
import { OnlineState, vectorPositions } from './online/online-state.ts';
import { featuresOptions, type FeaturesOptions } from './options.ts';
import { compilePlan, type VectorPlan } from './plan.ts';
import { rebuild } from './rebuild.ts';
import { Replay } from './replay.ts';
import { recordServed } from './served.ts';
import { Snapshots } from './snapshots.ts';
import { startUpkeep } from './upkeep.ts';

/** Online state, vector reads, archive and datasets. */
export const features: ServiceDefinition<FeaturesOptions> = {
  name: 'features',
  summary: 'Keeps online features, answers vector reads, writes Parquet and builds datasets',
  options: featuresOptions,
  migrations,
  start,
};

async function start(host: ServiceHost<FeaturesOptions>): Promise<RunningService> {
  const plan = compilePlan(host.app);
  const partitions = new Map<string, number>();
  for (const source of plan.sources.keys()) {
    const topic = await host.log.createTopic(sourceTopic(source), { partitions: SOURCE_PARTITIONS });
    partitions.set(source, topic.partitions);
  }
  for (const vector of plan.vectors.keys())
    await host.log.createTopic(servedTopic(vector), { partitions: 1 });
  const makeState = (): OnlineState =>
    new OnlineState(plan, partitions, {
      readBehindMs: host.options.clock === 'event' ? host.options.readBehindMs : 0,
    });
  const snapshots = new Snapshots(host);
  const archive = new Archive(host, plan);
  let state = makeState();
  if (!(await snapshots.restore(state))) state = makeState();
  await rebuild(host, archive, state);
  await host.failPoints.pass('features.restore.after');
  const feed = new Feed(host, state);
  feed.start();
  const lag = new Lag(host.clock.monotonic());
  const stopUpkeep = startUpkeep({ host, state, feed, snapshots, archive, lag });
  return {
    handlers: handlers(host, state, feed, archive),
    ready: async (): Promise<Readiness> =>
      feed.caughtUp
        ? { ready: true }
        : { ready: false, reason: 'the online state is catching up with the log' },
    scalingSignals: () => ({ lag_seconds: lag.seconds, lag_records: lag.records }),
    stop: async (graceMs): Promise<void> => {
      await feed.stop();
      await stopUpkeep(graceMs / 2);
      await archive.stop();
    },
  };
}

function handlers(
  host: ServiceHost<FeaturesOptions>,
  state: OnlineState,
  feed: Feed,
  archive: Archive,
): readonly HandlerEntry[] {
  const datasets = new Datasets(host, archive, state);
  const replay = new Replay(host, archive, state.plan);
  const read = vectorReader(host, state, feed);
  return [
    handler(routes.readVector, async ({ params, body }) => read(vectorOf(state, params.vector), body)),
    handler(routes.replayVector, async ({ params, body }) => {
      const vector = vectorOf(state, params.vector);
      if (body.hash !== vector.vector.hash) {
        throw new PlatformError(
          'UNPROCESSABLE',
          `Vector '${params.vector}' has changed since these rows were served`,
          {
            details: { served: body.hash, present: vector.vector.hash },
          },
        );
      }
      const receipts = body.receipts.map((receipt, index) => ({
        event: readCandidate(vector, receipt.candidate, index),
        asOf: receipt.asOf,
        positions: receipt.positions,
      }));
      return { rows: await replay.replay(vector, receipts) };
    }),
    handler(routes.buildDataset, ({ body }) =>
      host.trace.span('build dataset', () => datasets.build(body), { 'ml.feature.set': body.vector }),
    ),
    handler(routes.getDataset, async ({ params }) => datasets.describe(params.id)),
    handler(routes.getFeaturesStatus, async () => status(host, state, archive)),
  ];
}

interface ReadRequest {
  readonly candidates: readonly Record<string, unknown>[];
  readonly after?: Positions | undefined;
  readonly waitMs: number;
  readonly atClock: boolean;
  readonly record: boolean;
}

function vectorReader(
  host: ServiceHost<FeaturesOptions>,
  state: OnlineState,
  feed: Feed,
): (vector: VectorPlan, request: ReadRequest) => Promise<VectorRead> {
  const rowsRead = host.metrics.counter('vectors_total', 'Vectors read', ['vector']);
  return async (vector, request) => {
    const events = request.candidates.map((candidate, index) => {
      const event = readCandidate(vector, candidate, index);
      if (!request.atClock) refuseFuture(host, state, vector, event, index);
      return event;
    });
    if (request.after !== undefined) await feed.waitFor(request.after, request.waitMs);
    // From here to the positions nothing is awaited: all rows are of one state.
    const rows = events.map((event) => {
      if (host.options.clock === 'wall') state.advance(host.clock.now());
      const atClock = request.atClock || host.options.clock === 'wall';
      return state.read(vector, event, atClock ? Math.max(state.clock, 0) : event.time);
    });
    const positions = vectorPositions(state, vector);
    rowsRead.add(rows.length, { vector: vector.vector.name });
    if (request.record) {
      await host.failPoints.pass('features.receipts.before');
      const served = rows.map((row, index) => ({ ...row, event: events[index] }));
      await recordServed(host.log, vector, positions, served.filter(hasEvent));
    }
    return {
      vector: vector.vector.name,
      hash: vector.vector.hash,
      names: [...vector.names],
      positions,
      rows,
    };
  };
}

function hasEvent<TRow extends { readonly event: Event | undefined }>(
  row: TRow,
): row is TRow & { readonly event: Event } {
  return row.event !== undefined;
}

function vectorOf(state: OnlineState, name: string): VectorPlan {
  const vector = state.plan.vectors.get(name);
  if (vector === undefined)
    throw new PlatformError('VECTOR_NOT_FOUND', `The app defines no vector '${name}'`);
  return vector;
}

function readCandidate(vector: VectorPlan, candidate: unknown, index: number): Event {
  const result = vector.candidate.read(candidate);
  if ('event' in result) return result.event;
  throw new PlatformError('BAD_REQUEST', `Candidate ${String(index)}: ${result.rejection.reason}`, {
    details: { index, ...result.rejection },
  });
}

/**
 * A candidate may be ahead of the wall clock by its source's skew. With an event clock and tiles, which move that clock, it
 * may also not be so far ahead that everything before it would be out of reach.
 */
function refuseFuture(
  host: ServiceHost<FeaturesOptions>,
  state: OnlineState,
  vector: VectorPlan,
  event: Event,
  index: number,
): void {
  const { clock, readBehindMs } = host.options;
  const wall = host.clock.now() + vector.candidate.source.maxSkewMs;
  const moved = clock === 'event' && !vector.exact && Number.isFinite(state.clock);
  const latest = moved ? Math.min(wall, state.clock + readBehindMs) : wall;
  if (event.time <= latest) return;
  const time = new Date(event.time).toISOString();
  throw new PlatformError(
    'BAD_REQUEST',
    `Candidate ${String(index)} is of ${time}, ahead of the latest time that can be read, ${new Date(latest).toISOString()}`,
    { details: { index, code: 'TIME_IN_FUTURE', field: vector.candidate.source.time } },
  );
}

async function status(
  host: ServiceHost<FeaturesOptions>,
  state: OnlineState,
  archive: Archive,
): Promise<FeaturesStatus> {
  const sources = [...state.plan.sources.keys()].map(async (source) => ({
    source,
    applied: [...state.positions(source)],
    heads: (await host.log.ranges(sourceTopic(source))).map((range) => range.next),
    archived: await archive.positions(source),
    duplicates: state.duplicates(source),
  }));
  const clock = host.options.clock === 'wall' ? host.clock.now() : state.clock;
  return {
    clock: Number.isFinite(clock) ? clock : 0,
    sources: await Promise.all(sources),
    groups: state.sizes(),
  };
}
