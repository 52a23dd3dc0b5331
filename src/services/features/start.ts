import { PlatformError, routes, servedTopic, SOURCE_PARTITIONS, sourceTopic } from '../../contract/index.ts';
import { definitionHash } from '../../define/index.ts';
import {
  handler,
  type HandlerEntry,
  type Readiness,
  type RunningService,
  type ServiceHost,
} from '../../runtime/index.ts';
import { Archive } from './archive.ts';
import { Backfill, unknownVector } from './backfill.ts';
import { CatchUp } from './catch-up.ts';
import { Datasets } from './datasets.ts';
import type { Feed } from './feed.ts';
import { Lag } from './lag.ts';
import type { FeaturesOptions } from './options.ts';
import { Ownership } from './ownership/ownership.ts';
import { compilePlan, type Plan, type VectorPlan } from './plan.ts';
import { Replay } from './replay.ts';
import { Snapshots } from './snapshots.ts';
import { makeState } from './state/make-state.ts';
import type { StateHost } from './state/state-host.ts';
import { factsOf, statusOf } from './status.ts';
import { startUpkeep } from './upkeep.ts';
import { readCandidate, VectorReader } from './vector-reader.ts';
import { Verifications } from './verify/verifications.ts';

/**
 * With a wall clock, how far behind its clock an exact group may be read, in milliseconds: another replica issues the instant,
 * and its clock may be behind this one's, and the call takes a while.
 */
const WALL_READ_BEHIND_MS = 10_000;
/** Share of the grace period that the last snapshots get. */
const SNAPSHOT_SHARE = 0.5;

/** Share of the grace period that a verification under way gets: it goes on elsewhere. */
const VERIFY_SHARE = 0.1;

/** The parts of a running service. */
interface Parts {
  readonly host: ServiceHost<FeaturesOptions>;
  readonly state: StateHost;
  readonly feed: Feed;
  readonly archive: Archive;
  readonly ownership: Ownership;
  readonly replay: Replay;
  readonly verifications: Verifications;
  readonly backfill: Backfill;
}

/** Starts the service. */
export async function start(host: ServiceHost<FeaturesOptions>): Promise<RunningService> {
  const plan = compilePlan(host.app);
  const partitions = await createTopics(host, plan);
  const definitions = definitionHash({ hashes: plan.hashes, partitions: Object.fromEntries(partitions) });
  const snapshots = new Snapshots(host, definitions);
  const archive = new Archive(host, plan);
  const state = makeState(host, plan, {
    partitions,
    readBehindMs: host.options.clock === 'event' ? host.options.readBehindMs : WALL_READ_BEHIND_MS,
    core: () => snapshots.core(),
  });
  try {
    return await run({ host, plan, definitions, snapshots, archive, state });
  } catch (error) {
    await state.stop();
    throw error;
  }
}

async function run(parts: {
  readonly host: ServiceHost<FeaturesOptions>;
  readonly plan: Plan;
  readonly definitions: string;
  readonly snapshots: Snapshots;
  readonly archive: Archive;
  readonly state: StateHost;
}): Promise<RunningService> {
  const { host, plan, definitions, snapshots, archive, state } = parts;
  await snapshots.restoreCore(state);
  const backfill = new Backfill(host, archive, state);
  const { feed } = backfill;
  const catchUp = new CatchUp(host, archive, state);
  const ownership = new Ownership({
    host,
    state,
    definitions,
    caughtUp: () => feed.caughtUp,
    load: (partition) => snapshots.shard(partition),
    attach: (partition, snapshot) => snapshots.attach(state, partition, snapshot),
    catchUp: (own, signal) => catchUp.fill(own, signal),
    facts: () => factsOf(state, backfill.percent),
  });
  state.listen({
    lost: (own) => ownership.bringBack(own),
    rewound: () => feed.again(),
  });
  // Before anything is applied: shards without a snapshot then miss nothing.
  await ownership.start();
  await backfill.start();
  const lag = new Lag(host.clock.monotonic());
  const replay = new Replay(host, archive, plan);
  const verifications = new Verifications({ host, archive, plan, replay });
  await verifications.start();
  const stopUpkeep = startUpkeep({ host, state, feed, snapshots, archive, ownership, lag });
  return {
    handlers: handlers({ host, state, feed, archive, ownership, replay, verifications, backfill }),
    ready: async (): Promise<Readiness> => backfill.readiness(ownership),
    scalingSignals: () => ({ lag_seconds: lag.seconds, lag_records: lag.records }),
    leave: (graceMs) => ownership.leave(graceMs),
    stop: async (graceMs): Promise<void> => {
      await verifications.stop(graceMs * VERIFY_SHARE);
      await backfill.stop();
      await stopUpkeep(graceMs * SNAPSHOT_SHARE);
      await ownership.stop();
      await archive.stop();
      await state.stop();
      await ownership.withdraw().catch((error: unknown) => {
        host.logger.warn('The state partitions stay claimed until their leases end', {
          error: String(error),
        });
      });
    },
  };
}

async function createTopics(
  host: ServiceHost<FeaturesOptions>,
  plan: Plan,
): Promise<ReadonlyMap<string, number>> {
  const partitions = new Map<string, number>();
  for (const source of plan.sources.keys()) {
    const topic = await host.log.createTopic(sourceTopic(source), { partitions: SOURCE_PARTITIONS });
    partitions.set(source, topic.partitions);
  }
  for (const vector of plan.vectors.keys())
    await host.log.createTopic(servedTopic(vector), { partitions: 1 });
  return partitions;
}

function handlers(parts: Parts): readonly HandlerEntry[] {
  const { host, state, archive, replay, verifications, ownership } = parts;
  const known = async (name: string): Promise<VectorPlan> => {
    const vector = state.plan.vectors.get(name);
    if (vector === undefined) throw await unknownVector(name, ownership);
    return vector;
  };
  const datasets = new Datasets(host, archive, state);
  const reader = new VectorReader(parts);
  return [
    handler(routes.readVector, async ({ params, body }, context) =>
      reader.read(await known(params.vector), body, context),
    ),
    handler(routes.readVectorParts, async ({ params, body }) =>
      reader.readParts(await known(params.vector), body),
    ),
    handler(routes.replayVector, async ({ params, body }) => {
      const vector = await known(params.vector);
      if (body.hash !== vector.vector.hash) {
        throw new PlatformError(
          'UNPROCESSABLE',
          `Vector '${params.vector}' has changed since these rows were served`,
          {
            details: { served: body.hash, present: vector.vector.hash },
          },
        );
      }
      const receipts = body.receipts.map(({ candidate, asOf, ...at }, index) => {
        assertGroups(vector, at, index);
        return { event: readCandidate(vector, candidate, index), asOf, at };
      });
      return { rows: await replay.replay(vector, receipts) };
    }),
    handler(routes.buildDataset, async ({ body }) => {
      await known(body.vector);
      return host.trace.span('build dataset', () => datasets.build(body), { 'ml.feature.set': body.vector });
    }),
    handler(routes.listDatasets, ({ query }) => datasets.list(query)),
    handler(routes.rebuildDataset, ({ params, body }) =>
      host.trace.span('rebuild dataset', () => datasets.rebuild(params.id, body)),
    ),
    handler(routes.getDataset, async ({ params }) => datasets.describe(params.id)),
    handler(routes.startVerification, ({ body }) => verifications.ask(body)),
    handler(routes.listVerifications, ({ query }) => verifications.list(query)),
    handler(routes.getVerification, ({ params }) => verifications.get(params.id)),
    handler(routes.getFeaturesStatus, async () => statusOf(parts)),
  ];
}

/** A receipt names positions that it has, for each group of its vector. */
function assertGroups(
  vector: VectorPlan,
  at: { readonly others?: readonly unknown[] | undefined; readonly groups?: readonly number[] | undefined },
  index: number,
): void {
  const sets = 1 + (at.others?.length ?? 0);
  const groups = at.groups ?? vector.groups.map(() => 0);
  if (groups.length === vector.groups.length && groups.every((set) => set < sets)) return;
  throw new PlatformError(
    'BAD_REQUEST',
    `Receipt ${String(index)}: expected 'groups' to name one of ${String(sets)} positions for each of the ${String(vector.groups.length)} groups`,
    { details: { index } },
  );
}
