import {
  type InputOf,
  PlatformError,
  type Release,
  type ReleasedRanker,
  type routes,
} from '../../contract/index.ts';
import type { App, Recommendation } from '../../define/index.ts';
import type { Tables } from '../../runtime/index.ts';
import { type Choice, releasableVersion } from './choose-version.ts';

/** Releases of recommendations have a threshold and outcomes because those of decisions do; nothing goes by them. */
const NO_THRESHOLD = { threshold: 0, outcomes: ['recommended', 'recommended'] } as const;

export interface RecommendationChoosing {
  readonly tx: Tables;
  readonly app: App;
  readonly recommendation: Recommendation;
  readonly request: InputOf<typeof routes.createRelease>['body'];
  /** The release in charge. */
  readonly current: Release | undefined;
}

/**
 * What a release of a recommendation is made of: versions that are named, of the models that the app now defines, and for what is
 * not named that of the release in charge, so that one is updated without the other.
 *
 * Rejects with BAD_REQUEST (nothing is in charge that could stay, or what recommendations do not have was asked for),
 * MODEL_NOT_FOUND, GATE_FAILED, UNPROCESSABLE (trained for another version of its vector, or what stays cannot be served any more).
 */
export async function chooseForRecommendation(choosing: RecommendationChoosing): Promise<Choice> {
  const { recommendation, request } = choosing;
  if (request.threshold !== undefined)
    throw refused(recommendation, 'threshold', 'is a recommendation and has no threshold');
  if (request.abstain != null)
    throw refused(recommendation, 'abstain', 'is a recommendation and abstains from nothing');
  const { vectorHash, ...candidates } = await chooseRecommender(choosing);
  const ranker = await chooseRanker(choosing);
  return { ...candidates, ...NO_THRESHOLD, recommendation: { vectorHash, ranker } };
}

async function chooseRecommender({
  tx,
  app,
  recommendation,
  request,
  current,
}: RecommendationChoosing): Promise<Pick<Release, 'model' | 'version' | 'vector' | 'vectorHash'>> {
  const { candidates, history } = recommendation;
  if (request.version !== undefined) {
    await releasableVersion(tx, { ...candidates, vector: candidates.training }, request.version);
    return {
      model: candidates.name,
      version: request.version,
      vector: history.name,
      vectorHash: history.hash,
    };
  }
  if (current === undefined)
    throw refused(recommendation, 'version', `has no release yet: name a version of '${candidates.name}'`);
  const { model, version, vector, vectorHash } = current;
  assertServable(app, { model, version, vector, vectorHash });
  return { model, version, vector, vectorHash };
}

async function chooseRanker({
  tx,
  app,
  recommendation,
  request,
  current,
}: RecommendationChoosing): Promise<ReleasedRanker | null> {
  const { rank } = recommendation;
  if (request.ranker === null) return null;
  if (request.ranker === undefined) {
    const kept = current?.ranker ?? null;
    if (kept === null) return null;
    if (rank === undefined)
      throw refused(recommendation, 'ranker', `does not rank any more: make the release with 'ranker' null`);
    assertServable(app, kept);
    return kept;
  }
  if (rank === undefined) throw refused(recommendation, 'ranker', 'defines no ranker');
  const { name, vector } = rank.model;
  const version = await releasableVersion(tx, rank.model, request.ranker);
  return {
    model: name,
    version: request.ranker,
    onnx: version.onnx,
    vector: vector.name,
    vectorHash: vector.hash,
  };
}

/** What stays in charge is answered by the app's vectors of now. */
function assertServable(
  app: App,
  kept: {
    readonly model: string;
    readonly version: number;
    readonly vector: string;
    readonly vectorHash: string;
  },
): void {
  const { model, version, vector, vectorHash } = kept;
  const found = app.vectors.get(vector)?.hash;
  if (found === vectorHash) return;
  throw new PlatformError(
    'UNPROCESSABLE',
    `Version ${String(version)} of '${model}' is in charge for vector '${vector}' ${vectorHash}, ` +
      `the app now has ${found ?? 'none of this name'}: name a version for what it has`,
    { details: { model, version, vector, expected: vectorHash, current: found ?? null } },
  );
}

function refused({ name }: Recommendation, field: string, why: string): PlatformError {
  return new PlatformError('BAD_REQUEST', `'${name}' ${why}`, { details: { decision: name, field } });
}
