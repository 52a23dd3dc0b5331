import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openPostgres, type Postgres, startEmbedded } from '../../../src/adapters/postgres/index.ts';
import { PlatformError, routes, sourceTopic } from '../../../src/contract/index.ts';
import { SeededRandom } from '../../../src/ml/random.ts';
import type { LoadResult } from './load.ts';
import type { Requests } from './requests.ts';

/** Connections for looking at the log. */
const CONNECTIONS = 3;
/** How long features may take to have applied everything, in milliseconds. */
const APPLY_MS_MAX = 120_000;
/** How long one question to features waits for that: what refuses it meanwhile is asked again. In milliseconds. */
const APPLY_WAIT_MS = 10_000;
/** How long the database may be away, e.g. right after a fail-over, in milliseconds. */
const DATABASE_MS_MAX = 60_000;
const PAUSE_MS = 250;
/** Decisions of each kind that are asked for by route and replayed. */
const SAMPLE = 40;
/** Ids in one question to the ledger's table. */
const IDS_PER_QUERY = 5_000;

/** What is compared with the truth. */
export interface TruthOptions {
  readonly requests: Requests;
  /** What the loads know. */
  readonly loads: readonly LoadResult[];
  readonly seed: number;
  /** Address of the database; by {@link embeddedUrl} when it is the embedded one. */
  readonly databaseUrl: string;
  /** Entries of buffered decisions that may be missing, for each process of serve that was killed its bound. */
  readonly bufferedLossMax: number;
}

export interface Truth {
  readonly counts: Readonly<Record<string, number>>;
  readonly violations: readonly string[];
}

/** Address of the embedded database of a data directory, which must be running or is started. */
export async function embeddedUrl(dataDir: string): Promise<string> {
  return (await startEmbedded({ directory: join(dataDir, 'postgres') })).url;
}

/**
 * Compares what the product says with what its clients know, once the load has stopped and everything is ready:
 *
 * - every acknowledged event is counted by features once, by exact windows and by tiles (counts and sums by key);
 * - offsets of the log have no gaps, and nothing waits in quarantine;
 * - every id of a durable decision is in the ledger, and of buffered ones all but `bufferedLossMax`;
 * - a sample of decisions replays equal bit for bit.
 */
export async function compareWithTruth(options: TruthOptions): Promise<Truth> {
  const postgres = await patiently(() =>
    openPostgres(options.databaseUrl, { applicationName: 'chaos truth', connectionsMax: CONNECTIONS }),
  );
  try {
    const parts = [
      await patiently(() => eventsTruth(options, postgres)),
      await patiently(() => valuesTruth(options, postgres)),
      await patiently(() => ledgerTruth(options, postgres)),
    ];
    return {
      counts: Object.assign({}, ...parts.map(({ counts }) => counts)) as Truth['counts'],
      violations: parts.flatMap(({ violations }) => violations),
    };
  } finally {
    await postgres.close();
  }
}

/** Does the work again while the database is away: nothing that is looked at here changes by that. */
async function patiently<TResult>(work: () => Promise<TResult>): Promise<TResult> {
  for (const end = performance.now() + DATABASE_MS_MAX; ; await sleep(PAUSE_MS)) {
    try {
      return await work();
    } catch (error) {
      const isAway = PlatformError.is(error) && error.retryable;
      if (!isAway || performance.now() > end) throw error;
    }
  }
}

async function eventsTruth({ requests, loads }: TruthOptions, postgres: Postgres): Promise<Truth> {
  const violations: string[] = [];
  const topic = sourceTopic('orders');
  let records = 0;
  for (const [partition, range] of (await postgres.log.ranges(topic)).entries()) {
    let offset = range.first;
    while (offset < range.next) {
      const batches = await postgres.log.read(topic, partition, offset);
      if (batches.length === 0) violations.push(`partition ${String(partition)} ends at ${String(offset)}`);
      if (batches.length === 0) break;
      for (const { base, count } of batches) {
        if (base !== offset)
          violations.push(`partition ${String(partition)}: ${String(base)} after ${String(offset)}`);
        offset = base + count;
        records += count;
      }
    }
  }
  for (const source of ['orders', 'returns']) {
    const { quarantined } = await requests.call(routes.describeSource, { params: { source } });
    if (quarantined > 0) violations.push(`${String(quarantined)} records of ${source} are in quarantine`);
  }
  const acknowledged = loads.reduce((sum, { events }) => sum + events.acknowledged, 0);
  const pending = loads.reduce((sum, { events }) => sum + events.pending, 0);
  if (pending > 0) violations.push(`${String(pending)} events were never acknowledged`);
  return { counts: { acknowledged, records }, violations };
}

/** Values by key from features, against what was acknowledged. */
async function valuesTruth({ requests, loads }: TruthOptions, postgres: Postgres): Promise<Truth> {
  const violations: string[] = [];
  const after: Record<string, number[]> = {};
  for (const source of ['orders', 'returns']) {
    after[source] = (await postgres.log.ranges(sourceTopic(source))).map(({ next }) => next);
  }
  const expected = loads.flatMap(({ keys }) => Object.entries(keys));
  const candidates = expected.map(([customerId], index) => ({
    orderId: `truth-${String(index)}`,
    at: Date.now(),
    customerId,
    serial: 0,
    risk: 0,
  }));
  let [lost, twice] = [0, 0];
  if (candidates.length > 0) {
    const body = { candidates, after, waitMs: APPLY_WAIT_MS, atClock: true, record: false };
    const read = await requests.call(routes.readVector, { params: { vector: 'basket' }, body }, APPLY_MS_MAX);
    const column = (name: string): number => read.names.findIndex((found) => found.endsWith(name));
    // The event that is asked with has serial number 0, and tiles count it in.
    const counts = [
      { at: column('count_1d'), asked: 0 },
      { at: column('tally_1d'), asked: 1 },
    ];
    const sums = [column('serials_1d'), column('total_1d')];
    for (const [row, [key, { count, serials }]] of expected.entries()) {
      const values = read.rows[row]?.values ?? [];
      for (const { at, asked } of counts) {
        const found = (values[at] ?? NaN) - asked;
        if (found === count) continue;
        if (found < count) lost += count - found;
        else twice += found - count;
        violations.push(
          `${key}: ${read.names[at] ?? '?'} is ${String(found)}, acknowledged were ${String(count)}`,
        );
      }
      for (const at of sums) {
        if (values[at] === serials) continue;
        violations.push(`${key}: ${read.names[at] ?? '?'} is ${String(values[at])}, not ${String(serials)}`);
      }
    }
  }
  return { counts: { keys: expected.length, lost, twice }, violations: violations.slice(0, 20) };
}

async function ledgerTruth(options: TruthOptions, postgres: Postgres): Promise<Truth> {
  const { requests, loads, seed, bufferedLossMax } = options;
  const random = new SeededRandom(seed);
  const violations: string[] = [];
  const ids = (decision: string): string[] => loads.flatMap(({ decisionIds }) => decisionIds[decision] ?? []);
  const durable = await missingOf(postgres, ids('accept'));
  const buffered = await missingOf(postgres, ids('suggest'));
  if (durable.size > 0) {
    violations.push(
      `${String(durable.size)} durable decisions are not in the ledger, e.g. ${String([...durable][0])}`,
    );
  }
  if (buffered.size > bufferedLossMax) {
    violations.push(
      `${String(buffered.size)} buffered decisions are not in the ledger; at most ${String(bufferedLossMax)} may be`,
    );
  }
  let replayed = 0;
  for (const decision of ['accept', 'suggest']) {
    const known = ids(decision).filter((id) => !durable.has(id) && !buffered.has(id));
    for (const decisionId of random.shuffle(known).slice(0, SAMPLE)) {
      const params = { decisionId };
      const entry = await requests.call(routes.getLedgerEntry, { params });
      if (entry.decision !== decision)
        violations.push(`${decisionId} is of ${entry.decision}, not ${decision}`);
      const replay = await requests.call(routes.replayDecision, { params });
      replayed += 1;
      if (!replay.equal) violations.push(`${decisionId} replays otherwise: ${replay.differences.join(', ')}`);
    }
  }
  const counts = { durableMissing: durable.size, bufferedMissing: buffered.size, replayed };
  return { counts, violations };
}

async function missingOf(postgres: Postgres, ids: readonly string[]): Promise<Set<string>> {
  const missing = new Set(ids);
  for (let first = 0; first < ids.length; first += IDS_PER_QUERY) {
    const found = await postgres.tables.query<{ decision_id: string }>(
      'select decision_id::text from serve_ledger where decision_id = any($1::uuid[])',
      [ids.slice(first, first + IDS_PER_QUERY)],
    );
    for (const { decision_id: id } of found) missing.delete(id);
  }
  return missing;
}
