import type { ResolvedTreesOptions } from '../options.ts';
import { binaryTarget } from './binary.ts';
import { lambdaRankTarget } from './lambda-rank.ts';
import { multiclassTarget } from './multiclass.ts';
import { poissonTarget } from './poisson.ts';
import { quantileTarget } from './quantile.ts';
import { squaredErrorTarget } from './squared-error.ts';
import type { Target, TargetRows } from './target.ts';

/**
 * @internal The labels of a data set under the objective of the options.
 *
 * @param training the training set's target when this is the validation set: classes are as many there, and
 *   their weights are for training only.
 * @throws RangeError on unsound labels, naming the first row.
 */
export function makeTarget(given: TargetRows, options: ResolvedTreesOptions, training?: Target): Target {
  const classWeights = training === undefined ? options.classWeights : undefined;
  switch (options.objective) {
    case 'binary':
      return binaryTarget(given, classWeights);
    case 'multiclass':
      return multiclassTarget(given, { classWeights, classes: training?.outputs });
    case 'squaredError':
      return squaredErrorTarget(given);
    case 'quantile':
      return quantileTarget(given, options.quantile);
    case 'poisson':
      return poissonTarget(given);
    case 'lambdaRank':
      return lambdaRankTarget(given, options.truncation);
  }
}
