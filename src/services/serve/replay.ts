import { type DecisionReplay, type LedgerEntry, PlatformError, routes } from '../../contract/index.ts';
import type { ItemModel } from '../../ml/onnx/load-items.ts';
import type { CallContext, ServiceHost } from '../../runtime/index.ts';
import type { Ledger } from './ledger.ts';
import { findEntry, rowPositionsOf } from './ledger-store.ts';
import type { ServeOptions } from './options.ts';
import type { ReleaseWatch } from './release-watch.ts';
import type { RankModel } from './rank-model.ts';
import type { RecentModels } from './recent-models.ts';
import { replayRecommendation } from './replay-recommendation.ts';
import { type ModelCache, outcomeOf, servedValues } from './served-model.ts';

/** What looking back needs. */
export interface ReplayParts {
  readonly host: ServiceHost<ServeOptions>;
  readonly ledger: Ledger;
  readonly watch: Pick<ReleaseWatch, 'vectorOf' | 'recommendation'>;
  readonly models: ModelCache;
  readonly itemModels: RecentModels<ItemModel>;
  readonly rankModels: RecentModels<RankModel>;
}

/** The record of a decision. Rejects with DECISION_NOT_FOUND. */
export async function getEntry(parts: ReplayParts, decisionId: string): Promise<LedgerEntry> {
  const { host, ledger } = parts;
  // The buffer first: an entry that has left it is on disk.
  const waiting = ledger.buffered(decisionId);
  const vector = waiting === undefined ? undefined : parts.watch.vectorOf(waiting.vectorId);
  if (waiting === undefined || vector === undefined) {
    const found = await findEntry(host.tables, decisionId);
    if (found !== undefined) return found;
    throw new PlatformError('DECISION_NOT_FOUND', 'The ledger has no decision of this id', {
      details: { decisionId },
    });
  }
  const { vectorId: _, forReview: __, ...entry } = waiting;
  const names = vector.values.map((value) => value.name);
  return { ...entry, values: [...entry.values], vector: vector.name, vectorHash: vector.hash, names };
}

/**
 * Recomputes a decision or a recommendation. Everything is compared bit for bit.
 *
 * Rejects with DECISION_NOT_FOUND, and with what the features service or the registry answer.
 */
export async function replay(
  parts: ReplayParts,
  decisionId: string,
  context: CallContext,
): Promise<DecisionReplay> {
  const entry = await getEntry(parts, decisionId);
  const { recommendation } = entry;
  if (recommendation === undefined) return replayDecision(parts, entry, context);
  return replayRecommendation(parts, { ...entry, recommendation }, context);
}

/**
 * Recomputes a decision: the vector from the log as it was at the entry's instant and positions, the score by
 * the release's own model.
 */
async function replayDecision(
  parts: ReplayParts,
  entry: LedgerEntry,
  context: CallContext,
): Promise<DecisionReplay> {
  const { call, clock } = parts.host;
  const { decisionId } = entry;
  const options = {
    timeoutMs: Math.max(1, Math.ceil(context.deadlineMs - clock.monotonic())),
    signal: context.signal,
  };
  const receipt = { candidate: entry.request, asOf: entry.asOf, ...rowPositionsOf(entry) };
  const [release, replayed] = await Promise.all([
    call(routes.getRelease, { params: { id: entry.release }, query: {}, body: {} }, options),
    call(
      routes.replayVector,
      { params: { vector: entry.vector }, query: {}, body: { hash: entry.vectorHash, receipts: [receipt] } },
      options,
    ),
  ]);
  const [row] = replayed.rows;
  if (row === undefined) throw new PlatformError('UNAVAILABLE', 'The features service answered with no row');
  const model = await parts.models.get(release.onnx.digest);
  const values = servedValues(row.values);
  const score = model.predict(values);
  const recorded = { values: entry.values, score: entry.score, outcome: entry.outcome };
  const recomputed = { values, score, outcome: outcomeOf(score, release) };
  const differences = entry.names.filter((_, index) => !Object.is(recorded.values[index], values[index]));
  const sameScore = Object.is(recorded.score, score) && recorded.outcome === recomputed.outcome;
  const equal = differences.length === 0 && recorded.values.length === values.length && sameScore;
  return { decisionId, equal, recorded, recomputed, differences };
}
