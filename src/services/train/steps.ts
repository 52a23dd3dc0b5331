import type { Run } from '../../contract/index.ts';
import { definitionHash } from '../../define/index.ts';

export type StepStatus = Run['steps'][number];
export type StepName = StepStatus['name'];

/** Work of which a record is kept: the steps, and of a cross-validation the fit of a fold. */
export type UnitName = StepName | 'fold';

/**
 * The steps of a run in their order, with the version of each one's code: raise it whenever its output
 * changes.
 */
export const STEP_VERSIONS: Readonly<Record<StepName, number>> = {
  dataset: 1,
  split: 1,
  fit: 2,
  evaluate: 3,
  gate: 2,
  bundle: 3,
};

export const STEP_NAMES: readonly StepName[] = ['dataset', 'split', 'fit', 'evaluate', 'gate', 'bundle'];

/** What the lineage of a model version says of the code that made it: the version of each step. */
export const CODE_VERSION: string = `steps-${STEP_NAMES.map((name) => STEP_VERSIONS[name]).join('.')}`;

/** The content address of a step: hash of its name, the version of its code and everything it depends on. */
export function stepKey(step: StepName, inputs: Readonly<Record<string, unknown>>): string {
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
