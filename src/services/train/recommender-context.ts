import type { Recommender } from '../../define/index.ts';
import type { StepContext } from './run-context.ts';

/** What the steps of a recommender have. */
export interface RecommenderContext extends StepContext {
  readonly recommender: Recommender;
}

/**
 * Versions of the code of a recommender's steps: raise one whenever that step's output changes. They stand among a step's inputs,
 * beside the version of the steps of models, which have the same names.
 */
export const RECOMMENDER_STEP_VERSIONS = {
  dataset: 1,
  split: 1,
  fit: 1,
  evaluate: 1,
  gate: 1,
  bundle: 1,
} as const;

/** What the lineage of a version says of the code that made it. */
export const RECOMMENDER_CODE_VERSION: string = `recommender-${Object.values(RECOMMENDER_STEP_VERSIONS).join('.')}`;
