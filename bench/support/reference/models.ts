import type {
  ColumnPlan,
  Matrix,
  ParameterValues,
  SearchSpace,
  Table,
  TreeEnsemble,
  TreesOptions,
} from '../../../src/ml/index.ts';
import {
  Preprocessor,
  bestTrial,
  fitLogistic,
  fitTrees,
  linearPredictor,
  predictTrees,
  startSearch,
} from '../../../src/ml/index.ts';

/** A training set and the rows whose answers are wanted. */
export interface Task<TFeatures> {
  readonly training: TFeatures;
  readonly labels: Uint8Array;
  readonly test: TFeatures;
}

/** The probabilities of a logistic regression on a table: all that is learnt is learnt from the training rows. */
export function logisticOnTable(task: Task<Table>): Float64Array {
  const plans = task.training.columns.map((column): ColumnPlan =>
    column.kind === 'numeric'
      ? { kind: 'numeric', column: column.name, impute: 'median', standardise: true }
      : { kind: 'one-hot', column: column.name },
  );
  const { preprocessor, training } = Preprocessor.fit(task.training, plans);
  return logisticOnMatrix({ ...task, training, test: preprocessor.transform(task.test) });
}

/** The probabilities of a logistic regression with C = 1. */
export function logisticOnMatrix(task: Task<Matrix>): Float64Array {
  const predictor = linearPredictor(fitLogistic(task.training, task.labels, { C: 1 }));
  const answers = new Float64Array(task.test.rows);
  predictor.predict(task.test.values, task.test.rows, answers);
  return answers;
}

/** The probabilities of gradient boosted trees. */
export function treesOnMatrix(task: Task<Matrix>, options: TreesOptions): Float64Array {
  return predictTrees(fitTrees(task.training, task.labels, options), task.test);
}

/** Mean answers of ensembles that differ in their seed: draws of rows and columns even out. */
export function meanAnswers(models: readonly TreeEnsemble[], test: Matrix): Float64Array {
  const sums = new Float64Array(test.rows);
  for (const model of models) {
    const answers = predictTrees(model, test);
    for (let row = 0; row < sums.length; row += 1) {
      sums[row] = (sums[row] as number) + (answers[row] as number) / models.length;
    }
  }
  return sums;
}

/** A search for options of trees. */
export interface TreesSearch {
  readonly space: SearchSpace;
  readonly trials: number;
  readonly seed: number;
  /** Configurations that are tried before all others. */
  readonly first: readonly ParameterValues[];
}

/** The options with the highest score among those that a search by tree-structured Parzen estimators tried. */
export function searchTrees(
  given: TreesSearch,
  scoreOf: (options: TreesOptions) => number,
): { readonly options: TreesOptions; readonly score: number } {
  const { space, trials, seed, first } = given;
  const search = startSearch(space, {
    algorithm: 'tpe',
    trialsMax: trials,
    seed,
    first,
    tpe: { startupTrials: Math.min(10, Math.ceil(trials / 2)), goodShare: 0.2 },
  });
  for (let trial = search.ask(); trial !== undefined; trial = search.ask()) {
    search.tell({ number: trial.number, score: scoreOf(trial.parameters) });
  }
  const best = bestTrial(search.state());
  return { options: best?.parameters ?? {}, score: best?.score ?? Number.NaN };
}
