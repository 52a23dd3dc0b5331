import { PlatformError, type Release } from '../../contract/index.ts';
import { readHistory, type Recommendation, type Recommender, type Vector } from '../../define/index.ts';
import { type ItemModel, loadItemModel } from '../../ml/onnx/load-items.ts';
import type { ServiceHost } from '../../runtime/index.ts';
import { compileImpressions, type ImpressionMapping, type ReadRequest } from './impressions.ts';
import { vectorIdOf } from './ledger-store.ts';
import type { ServeOptions } from './options.ts';
import { compileRankModel, type RankModel } from './rank-model.ts';

/** What ranks the candidates of a loaded release. */
export interface LoadedRanker {
  readonly model: RankModel;
  readonly vector: Vector;
  readonly mapping: ImpressionMapping;
  readonly impressionOf: (request: ReadRequest, item: string, score: number) => Record<string, unknown>;
}

/** A release of a recommendation with everything that answering takes. It never changes. */
export interface LoadedRecommendation {
  readonly release: Release;
  readonly recommendation: Recommendation;
  /** The release's own: the recommendation may have another one by now. */
  readonly recommender: Recommender;
  readonly items: ItemModel;
  readonly history: Vector;
  /** How the ledger refers to the history's vector. */
  readonly vectorId: number;
  readonly ranker: LoadedRanker | null;
}

/** What is loaded, and what answers now. */
export interface RecommendationLoading {
  readonly release: Release;
  readonly recommendation: Recommendation;
  /** Whatever of it is of the same file is not loaded again: a recommender is large. */
  readonly before: LoadedRecommendation | undefined;
}

/**
 * Loads both models of a release and lets them predict once. Rejects with UNPROCESSABLE when the app cannot answer by the release,
 * and as the object store and the models' readers do.
 */
export async function loadRecommendation(
  host: ServiceHost<ServeOptions>,
  { release, recommendation, before }: RecommendationLoading,
): Promise<LoadedRecommendation> {
  const { app, objects, tables } = host;
  const history = vectorOf(host, release, release);
  requireCandidate(release, history, recommendation.request.hash, recommendation.name);
  const recommender = app.recommenders.get(release.model);
  if (recommender === undefined)
    throw unfit(release, `is of recommender '${release.model}', which the app does not define`);
  const { digest } = release.onnx;
  const items =
    before?.release.onnx.digest === digest ? before.items : loadItemModel(await objects.get(digest));
  // A history of nothing is the history of everybody who is new.
  const nothing = readHistory(
    recommender,
    history.values.map(() => null),
  );
  items.score(items.itemsOf(nothing.codes, nothing.weights).items);
  items.score(Uint32Array.of(0));
  const ranker = await loadRanker(host, release, recommendation);
  const vectorId = await vectorIdOf(tables, history);
  return { release, recommendation, recommender, items, history, vectorId, ranker };
}

async function loadRanker(
  host: ServiceHost<ServeOptions>,
  release: Release,
  recommendation: Recommendation,
): Promise<LoadedRanker | null> {
  const { ranker } = release;
  if (ranker === null || ranker === undefined) return null;
  const { rank, request } = recommendation;
  if (rank === undefined) throw unfit(release, `ranks, which '${recommendation.name}' does not any more`);
  const vector = vectorOf(host, release, ranker);
  const impressions = rank.model.vector.candidate;
  requireCandidate(release, vector, impressions.hash, impressions.name);
  const model = compileRankModel(await host.objects.get(ranker.onnx.digest));
  const { length } = vector.values;
  if (model.inputCount !== length) {
    throw unfit(
      release,
      `has a ranker of ${String(model.inputCount)} values, vector '${vector.name}' has ${String(length)}`,
    );
  }
  model.predict([vector.values.map(() => null), vector.values.map(() => 0)]);
  const mapping = { request, impressions, item: rank.item, score: rank.score ?? null, copied: rank.copied };
  return { model, vector, mapping, impressionOf: compileImpressions(mapping) };
}

function vectorOf(
  { app }: ServiceHost<ServeOptions>,
  release: Release,
  wanted: { readonly vector: string; readonly vectorHash: string },
): Vector {
  const found = app.vectors.get(wanted.vector);
  if (found !== undefined && found.hash === wanted.vectorHash) return found;
  throw unfit(
    release,
    `is for vector '${wanted.vector}' ${wanted.vectorHash}, this app has ${found?.hash ?? 'none of this name'}`,
  );
}

function requireCandidate(release: Release, vector: Vector, hash: string, what: string): void {
  if (vector.candidate.hash === hash) return;
  throw unfit(
    release,
    `reads vector '${vector.name}' for events of '${vector.candidate.name}', '${what}' has other ones`,
  );
}

function unfit(release: Release, why: string): PlatformError {
  return new PlatformError('UNPROCESSABLE', `Release ${release.id} ${why}`, {
    details: { release: release.id },
  });
}
