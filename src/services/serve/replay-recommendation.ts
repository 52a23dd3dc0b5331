import {
  compileEventReader,
  type DecisionReplay,
  type LedgerEntry,
  PlatformError,
  type RankedBy,
  type RecommendationRecord,
  type Release,
  routes,
  type VectorRow,
} from '../../contract/index.ts';
import { readHistory, type Recommender, type Vector } from '../../define/index.ts';
import type { ItemModel } from '../../ml/onnx/load-items.ts';
import type { CallContext, Caller, ServiceHost } from '../../runtime/index.ts';
import { compileImpressions, type ReadRequest } from './impressions.ts';
import { rowPositionsOf } from './ledger-store.ts';
import type { ServeOptions } from './options.ts';
import { orderItems } from './order-items.ts';
import { outcomeOfProposal, type Proposal, proposeCandidates } from './propose-candidates.ts';
import type { RankModel } from './rank-model.ts';
import type { RecentModels } from './recent-models.ts';
import type { ReleaseWatch } from './release-watch.ts';
import { servedValues } from './served-model.ts';

/** Receipts in one call: each has positions of its own, and a call is at most 1 MiB. */
const RECEIPTS_MAX = 100;

/** What a recommendation is recomputed with. */
export interface RecommendationReplayParts {
  readonly host: ServiceHost<ServeOptions>;
  readonly watch: Pick<ReleaseWatch, 'recommendation'>;
  readonly itemModels: RecentModels<ItemModel>;
  readonly rankModels: RecentModels<RankModel>;
}

type RecommendationEntry = LedgerEntry & { readonly recommendation: RecommendationRecord };

interface Replaying {
  readonly parts: RecommendationReplayParts;
  readonly entry: RecommendationEntry;
  readonly release: Release;
  readonly items: ItemModel;
  readonly options: Parameters<Caller>[2];
}

/** An item as it is compared. */
type ReplayedItem = Omit<RecommendationRecord['items'][number], 'impressionId'>;

/** What stands in the differences when it is not a value of the history. */
const CANDIDATES = 'candidates';
const ITEMS = 'items';

/**
 * Recomputes a recommendation: the history and the vectors of all candidates from the log as it was at the entry's instants and
 * positions, candidates and scores by the release's own models, the order as it was defined then.
 *
 * Rejects with UNPROCESSABLE when the app does not define what the release needs any more, and with what the features service or
 * the registry answer.
 */
export async function replayRecommendation(
  parts: RecommendationReplayParts,
  entry: RecommendationEntry,
  context: CallContext,
): Promise<DecisionReplay> {
  const { call, clock } = parts.host;
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
  const replaying = { parts, entry, release, items: await itemModelOf(parts, release), options };
  const values = servedValues(row.values);
  const { recommendation } = entry;
  const proposal = proposeCandidates(replaying.items, {
    ...recommendation,
    history: readHistory(recommenderOf(parts, release), values),
  });
  const sameCandidates = proposal.candidates.length === recommendation.candidates;
  const items = sameCandidates ? await orderedItems(replaying, proposal) : [];
  return compared(entry, { values, items, fallback: proposal.fallback, sameCandidates });
}

function compared(
  { decisionId, values, names, score, outcome, recommendation }: RecommendationEntry,
  found: {
    readonly values: (number | null)[];
    readonly items: ReplayedItem[];
    readonly fallback: Proposal['fallback'];
    readonly sameCandidates: boolean;
  },
): DecisionReplay {
  const items = recommendation.items.map(withoutImpression);
  const sameItems =
    items.length === found.items.length &&
    items.every((item, place) => isSame(item, found.items[place])) &&
    recommendation.fallback === found.fallback;
  const differences = [
    ...names.filter((_, index) => !Object.is(values[index], found.values[index])),
    ...(found.sameCandidates ? [] : [CANDIDATES]),
    ...(sameItems ? [] : [ITEMS]),
  ];
  return {
    decisionId,
    equal: differences.length === 0 && values.length === found.values.length,
    recorded: { values, score, outcome, items },
    recomputed: {
      values: found.values,
      score: found.items[0]?.score ?? 0,
      outcome: outcomeOfProposal(found.fallback),
      items: found.items,
    },
    differences,
  };
}

function withoutImpression({ item, score, candidateScore }: ReplayedItem): ReplayedItem {
  return { item, score, candidateScore };
}

function isSame(recorded: ReplayedItem, found: ReplayedItem | undefined): boolean {
  return (
    found !== undefined &&
    recorded.item === found.item &&
    Object.is(recorded.score, found.score) &&
    Object.is(recorded.candidateScore, found.candidateScore)
  );
}

/** The one that answers is loaded already. */
async function itemModelOf(parts: RecommendationReplayParts, release: Release): Promise<ItemModel> {
  const { digest } = release.onnx;
  const loaded = parts.watch.recommendation(release.decision);
  return loaded?.release.onnx.digest === digest ? loaded.items : parts.itemModels.get(digest);
}

function recommenderOf({ host }: RecommendationReplayParts, release: Release): Recommender {
  const found = host.app.recommenders.get(release.model);
  if (found !== undefined) return found;
  throw gone(release, `recommender '${release.model}'`);
}

async function orderedItems(replaying: Replaying, proposal: Proposal): Promise<ReplayedItem[]> {
  const { entry, items } = replaying;
  const { limit, diversity, ranking } = entry.recommendation;
  const scores = ranking === null ? undefined : await rankAgain(replaying, proposal, ranking);
  return orderItems(items, proposal.candidates, { scores, limit, diversity }).map((found) =>
    withoutImpression({ ...found, item: items.itemIds[found.item] ?? '' }),
  );
}

async function rankAgain(
  replaying: Replaying,
  { candidates }: Proposal,
  ranking: RankedBy,
): Promise<Float64Array> {
  const { parts, entry, release, items, options } = replaying;
  const { ranker } = release;
  if (ranker === null || ranker === undefined) throw gone(release, 'a ranker');
  const { request, impressions } = sourcesOf(replaying, ranking);
  const impressionOf = compileImpressions({ ...ranking, request, impressions });
  const read = readAgain(entry, request);
  const { asOf, positions, others, groups } = ranking;
  const receipts = candidates.map(({ item, score }, place) => ({
    candidate: impressionOf(read, items.itemIds[item] ?? '', score),
    asOf: asOf[place] ?? 0,
    ...rowPositionsOf({ positions, others, groups: groups?.[place] }),
  }));
  const rows: VectorRow[] = [];
  for (let from = 0; from < receipts.length; from += RECEIPTS_MAX) {
    const body = { hash: ranking.vectorHash, receipts: receipts.slice(from, from + RECEIPTS_MAX) };
    const input = { params: { vector: ranking.vector }, query: {}, body };
    rows.push(...(await parts.host.call(routes.replayVector, input, options)).rows);
  }
  if (rows.length !== candidates.length)
    throw new PlatformError('UNAVAILABLE', 'The features service answered with fewer rows than receipts');
  const model = await parts.rankModels.get(ranker.onnx.digest);
  return model.predict(rows.map(({ values }) => values));
}

function sourcesOf(
  { parts, entry, release }: Replaying,
  ranking: RankedBy,
): { readonly request: Vector['candidate']; readonly impressions: Vector['candidate'] } {
  const { vectors } = parts.host.app;
  const [history, ranked] = [vectors.get(entry.vector), vectors.get(ranking.vector)];
  if (history === undefined) throw gone(release, `vector '${entry.vector}'`);
  if (ranked === undefined) throw gone(release, `vector '${ranking.vector}'`);
  return { request: history.candidate, impressions: ranked.candidate };
}

function readAgain({ request: record }: RecommendationEntry, request: Vector['candidate']): ReadRequest {
  const result = compileEventReader(request)(record);
  if ('event' in result) return { record, event: result.event };
  throw new PlatformError(
    'UNPROCESSABLE',
    `The recorded request is none of '${request.name}' any more: ${result.rejection.reason}`,
  );
}

function gone(release: Release, what: string): PlatformError {
  return new PlatformError(
    'UNPROCESSABLE',
    `Release ${release.id} needs ${what}, which there is not any more`,
    { details: { release: release.id } },
  );
}
