import {
  LEDGER_READ_MAX,
  type LedgerEntry,
  type NotRecomputable,
  PlatformError,
  type Positions,
  positionSets,
  routes,
  sourceTopic,
  type Verification,
} from '../../../contract/index.ts';
import type { ServiceHost } from '../../../runtime/index.ts';
import type { Archive } from '../archive.ts';
import type { FeaturesOptions } from '../options.ts';
import type { Plan, VectorPlan } from '../plan.ts';
import type { Receipt, Replay } from '../replay.ts';
import { Comparison } from './comparison.ts';
import type { Findings } from './verification-store.ts';

/** Times of one job, in milliseconds. */
const SAMPLE_MS_MAX = 300_000;
const READ_MS_MAX = 60_000;
/** Rows that are recomputed by one session of the warehouse. */
const ROWS_PER_REPLAY = 1_000;

export interface VerifyParts {
  readonly host: ServiceHost<FeaturesOptions>;
  readonly archive: Archive;
  readonly plan: Plan;
  readonly replay: Replay;
}

interface Checkable {
  readonly entry: LedgerEntry;
  readonly receipt: Receipt;
}

/** What can be looked up of the log and the archive. */
interface Reach {
  /** By source: next offset of the log, first offset it has, next offset of the archive. */
  readonly sources: ReadonlyMap<string, readonly { next: number; first: number; archived: number }[]>;
  /** Sources with a file of the archive that is gone. */
  readonly missing: ReadonlySet<string>;
}

/**
 * Draws decisions from the ledger, recomputes their vectors from log and archive as of their receipts, and compares. Rejects with
 * what the serve service, the log or the store answer; a row that cannot be recomputed is no failure but counted as such.
 */
export async function verifyDecisions(
  parts: VerifyParts,
  asked: Pick<Verification, 'since' | 'until' | 'sample' | 'seed'>,
  signal: AbortSignal,
): Promise<Findings> {
  const { call } = parts.host;
  const { since, until, sample, seed } = asked;
  const drawn = await call(
    routes.sampleLedger,
    { params: {}, query: {}, body: { since, until, sample, seed } },
    { timeoutMs: SAMPLE_MS_MAX, signal },
  );
  const comparison = new Comparison();
  for (let first = 0; first < drawn.ids.length; first += ROWS_PER_REPLAY) {
    const entries = await readEntries(parts, drawn.ids.slice(first, first + ROWS_PER_REPLAY), signal);
    await compare(parts, entries, comparison, signal);
  }
  return comparison.findings(drawn.decisions);
}

/** Entries that the ledger has dropped since they were drawn are left out: it has fewer decisions now. */
async function readEntries(
  { host }: VerifyParts,
  ids: readonly string[],
  signal: AbortSignal,
): Promise<LedgerEntry[]> {
  const entries: LedgerEntry[] = [];
  for (let first = 0; first < ids.length; first += LEDGER_READ_MAX) {
    const body = { ids: ids.slice(first, first + LEDGER_READ_MAX) };
    const options = { timeoutMs: READ_MS_MAX, signal };
    const read = await host.call(routes.readLedger, { params: {}, query: {}, body }, options);
    entries.push(...read.entries);
  }
  return entries;
}

async function compare(
  parts: VerifyParts,
  entries: readonly LedgerEntry[],
  comparison: Comparison,
  signal: AbortSignal,
): Promise<void> {
  const reach = await reachOf(parts);
  const byVector = new Map<VectorPlan, Checkable[]>();
  for (const entry of entries) {
    const vector = parts.plan.vectors.get(entry.vector);
    const checked = vector?.vector.hash === entry.vectorHash ? check(vector, entry, reach) : undefined;
    if (vector === undefined || checked === undefined) comparison.leaveOut('definition-changed');
    else if (typeof checked === 'string') comparison.leaveOut(checked);
    else byVector.set(vector, [...(byVector.get(vector) ?? []), checked]);
  }
  for (const [vector, rows] of byVector) {
    const replayed = await parts.replay.replay(
      vector,
      rows.map(({ receipt }) => receipt),
      { signal, isBackground: true },
    );
    for (const [index, { entry }] of rows.entries()) comparison.add(entry, replayed[index]?.values ?? []);
  }
}

function check(vector: VectorPlan, entry: LedgerEntry, reach: Reach): Checkable | NotRecomputable {
  const read = vector.candidate.read(entry.request);
  if (!('event' in read)) return 'contract-changed';
  if (vector.sources.some(({ source }) => reach.missing.has(source.name))) return 'archive-missing';
  const { positions, others, groups } = entry;
  const at = others === undefined || groups === undefined ? { positions } : { positions, others, groups };
  if (positionSets(at).sets.some((set) => !covers(reach, set))) return 'log-missing';
  return { entry, receipt: { event: read.event, asOf: entry.asOf, at } };
}

/** Whether everything below the positions is in the archive or can still get there. */
function covers({ sources }: Reach, positions: Positions): boolean {
  return Object.entries(positions).every(([source, offsets]) =>
    offsets.every((offset, partition) => {
      const { next, first, archived } = sources.get(source)?.[partition] ?? {
        next: 0,
        first: 0,
        archived: 0,
      };
      return offset <= archived || (offset <= next && first <= archived);
    }),
  );
}

async function reachOf({ host, archive, plan }: VerifyParts): Promise<Reach> {
  const sources = new Map<string, { next: number; first: number; archived: number }[]>();
  const missing = new Set<string>();
  for (const name of plan.sources.keys()) {
    const archived = await archive.positions(name);
    const ranges = await host.log.ranges(sourceTopic(name));
    sources.set(
      name,
      ranges.map(({ next, first }, partition) => ({ next, first, archived: archived[partition] ?? 0 })),
    );
    if (!(await archive.isWhole(name))) missing.add(name);
  }
  return { sources, missing };
}

/** Whether the same work may come to another end later. */
export function isPassing(error: unknown): boolean {
  return PlatformError.is(error) && error.retryable;
}
