import type { Run, SearchStatus } from '../../contract/index.ts';
import { definitionHash, type TrainerSearch } from '../../define/index.ts';

export type StepStatus = Run['steps'][number];
export type StepName = StepStatus['name'];

/**
 * Work of which a record is kept: the steps, of a cross-validation the fit of a fold, and of a run that searches options the search with
 * its folds and trials. Those are no steps for callers, who know the six.
 */
export type UnitName = StepName | 'fold' | 'folds' | 'trial' | 'search';

/** What has a key of its own: the fit of a fold has that of a fit. */
type KeyedName = Exclude<UnitName, 'fold'>;

/**
 * The steps of a run in their order, and what a search does, with the version of each one's code: raise it whenever its output
 * changes.
 */
export const STEP_VERSIONS: Readonly<Record<KeyedName, number>> = {
  dataset: 1,
  split: 1,
  fit: 2,
  evaluate: 3,
  gate: 2,
  bundle: 3,
  folds: 1,
  trial: 1,
  search: 1,
};

export const STEP_NAMES: readonly StepName[] = ['dataset', 'split', 'fit', 'evaluate', 'gate', 'bundle'];

/** What the lineage of a model version says of the code that made it: the version of each step. */
export const CODE_VERSION: string = `steps-${STEP_NAMES.map((name) => STEP_VERSIONS[name]).join('.')}`;

/** The same of a version whose options were searched. */
export const SEARCH_CODE_VERSION: string = `${CODE_VERSION}-search-${(['folds', 'trial', 'search'] as const)
  .map((name) => STEP_VERSIONS[name])
  .join('.')}`;

/** The content address of a step: hash of its name, the version of its code and everything it depends on. */
export function stepKey(step: KeyedName, inputs: Readonly<Record<string, unknown>>): string {
  return definitionHash({ step, version: STEP_VERSIONS[step], inputs });
}

/** The steps of a run that has not begun. */
export function waitingSteps(): StepStatus[] {
  return STEP_NAMES.map((name) => ({
    name,
    state: 'waiting',
    key: null,
    seconds: null,
    progress: 0,
    note: null,
  }));
}

/** The search of a run that has not begun. */
export function waitingSearch({ metric, trials = 0 }: TrainerSearch): SearchStatus {
  return {
    state: 'waiting',
    key: null,
    seconds: null,
    progress: 0,
    note: null,
    metric,
    trials: { planned: trials, done: 0, failed: 0 },
    best: null,
  };
}
