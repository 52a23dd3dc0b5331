import type { Evaluator } from './compile-linear.ts';
import type { MarginForm } from './margin-form.ts';

/** Kinds of models that a graph may hold. */
export type ModelKind =
  | 'logistic'
  | 'multinomial'
  | 'regression'
  | 'trees'
  | 'isolation-forest'
  | 'constant'
  | 'last-value';

/**
 * What the answers are: the probability of class 1, one probability for each class, an estimate, a number to
 * sort by, or an anomaly score.
 */
export type ModelTask = 'binary' | 'multiclass' | 'regression' | 'ranking' | 'anomaly';

/** A model compiled, with what its nodes say about it. */
export interface CompiledForm {
  readonly kind: ModelKind;
  readonly task: ModelTask;
  readonly outputCount: number;
  readonly evaluate: Evaluator;
  readonly margin: MarginForm;
  /** Whether a curve stands behind the margin or its probability. */
  readonly isCalibrated?: true;
  /** Nodes of the graph that were understood. */
  readonly nodeCount: number;
}
