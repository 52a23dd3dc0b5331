/** Learning and evaluation of models on typed arrays: pure functions without input and output. */
export type { Matrix } from './matrix.ts';
export { matrix, matrixOf } from './matrix.ts';
export { SeededRandom } from './random.ts';

export type { LogisticModel, LogisticOptions, RawCoefficients } from './linear/logistic.ts';
export { LOGISTIC_COLUMNS_MAX, fitLogistic, rawCoefficients } from './linear/logistic.ts';

export type { CategoryCoding } from './gbdt/categories.ts';
export { rankCategories } from './gbdt/categories.ts';
export type { TreeEnsemble } from './gbdt/ensemble.ts';
export type { Link } from './gbdt/link.ts';
export type {
  TreesMetric,
  TreesObjective,
  TreesOptions,
  TreesProgress,
  ValidationSet,
} from './gbdt/options.ts';
export {
  CATEGORY_CODE_MAX,
  CLASSES_MAX,
  DEPTH_MAX,
  RELEVANCE_MAX,
  ROUNDS_MAX,
  TrainingStopped,
} from './gbdt/options.ts';
export { TRAINING_VALUES_MAX } from './gbdt/bins.ts';
export { predictTrees } from './gbdt/predict.ts';
export { fitTrees } from './gbdt/train.ts';

export { MalformedModel, UnsupportedGraph } from './onnx/errors.ts';
export type { ReadLimits } from './onnx/limits.ts';
export { READ_LIMITS } from './onnx/limits.ts';
export { encodeLogistic } from './onnx/encode-logistic.ts';
export { encodeTrees } from './onnx/encode-trees.ts';
export type { CompiledModel } from './onnx/load-model.ts';
export { loadModel } from './onnx/load-model.ts';

export { aucRoc, averagePrecision, precisionAtK } from './metrics/ranking.ts';
export { brier, calibrationError, logLoss } from './metrics/probability.ts';
export type { CardPrecision, CardPrecisionInput } from './metrics/card-precision.ts';
export { cardPrecisionAtK } from './metrics/card-precision.ts';
