import {
  type GateVerdict,
  gateVerdictText,
  type InputOf,
  type ModelVersion,
  PlatformError,
  type ReleasedRanker,
  type routes,
} from '../../contract/index.ts';
import type { Abstention, Decision, Gate } from '../../define/index.ts';
import type { Tables } from '../../runtime/index.ts';
import { chooseAbstention } from './choose-abstention.ts';
import { judgeGates } from './gates.ts';
import { getVersion } from './versions.ts';

/** What a release of a recommendation has beside what all have. */
export interface RecommendationChoice {
  /** Of the vector of the user's history. */
  readonly vectorHash: string;
  readonly ranker: ReleasedRanker | null;
}

/** What a release is made of. */
export interface Choice {
  readonly model: string;
  readonly version: number;
  readonly vector: string;
  readonly threshold: number;
  readonly outcomes: readonly [string, string];
  /** Absent: every score is answered. */
  readonly abstain?: Abstention;
  readonly recommendation?: RecommendationChoice;
}

/**
 * What a release of a decision is made of. Rejects with BAD_REQUEST without a version, with a ranker or an abstention that cannot
 * be, MODEL_NOT_FOUND, GATE_FAILED and UNPROCESSABLE as {@link releasableVersion}.
 */
export async function chooseForDecision(
  tx: Tables,
  decision: Decision,
  request: InputOf<typeof routes.createRelease>['body'],
): Promise<Choice> {
  const { name, model, threshold, outcomes } = decision;
  const { version } = request;
  if (version === undefined) {
    throw new PlatformError(
      'BAD_REQUEST',
      `A release of decision '${name}' names a version of '${model.name}'`,
      {
        details: { decision: name, field: 'version' },
      },
    );
  }
  if (request.ranker !== undefined) {
    throw new PlatformError('BAD_REQUEST', `'${name}' is a decision and has no ranker`, {
      details: { decision: name, field: 'ranker' },
    });
  }
  const abstain = chooseAbstention(decision, request.abstain);
  await releasableVersion(tx, model, version);
  return {
    model: model.name,
    version,
    vector: model.vector.name,
    threshold: request.threshold ?? threshold,
    outcomes,
    ...(abstain === undefined ? {} : { abstain }),
  };
}

/** What a version must fit, to be released. */
export interface Releasable {
  readonly name: string;
  readonly gates: readonly Gate[];
  readonly vector: { readonly name: string; readonly hash: string };
}

/**
 * A version that may be put in charge. Rejects with MODEL_NOT_FOUND, GATE_FAILED with the verdicts, UNPROCESSABLE (trained for
 * another version of the vector).
 */
export async function releasableVersion(
  tx: Tables,
  model: Releasable,
  number: number,
): Promise<ModelVersion> {
  const version = await getVersion(tx, model.name, number);
  if (!version.passed) {
    const { failed, missing } = judgeGates(model.gates, version.gates);
    throw new PlatformError(
      'GATE_FAILED',
      `Version ${String(number)} of '${model.name}' ${explain(failed)}`,
      {
        details: { model: model.name, version: number, failed, missing },
      },
    );
  }
  const trained = version.lineage.vectorHash;
  if (trained === model.vector.hash) return version;
  throw new PlatformError(
    'UNPROCESSABLE',
    `Version ${String(number)} of '${model.name}' was trained for vector '${model.vector.name}' ${trained}, ` +
      `but the app now has ${model.vector.hash}: train it again`,
    { details: { model: model.name, version: number, trained, current: model.vector.hash } },
  );
}

function explain(failed: readonly GateVerdict[]): string {
  const texts = failed.map((verdict) => gateVerdictText(verdict));
  return texts.length === 0
    ? 'came without the verdicts that its model asks for'
    : `failed: ${texts.join('; ')}`;
}
