/** Learning and evaluation of models on typed arrays: pure functions without input and output. */
export type { Matrix } from './matrix.ts';
export { matrix, matrixOf } from './matrix.ts';
export { SeededRandom } from './random.ts';

export type { LogisticModel, LogisticOptions, RawCoefficients } from './linear/logistic.ts';
export { LOGISTIC_COLUMNS_MAX, fitLogistic, rawCoefficients } from './linear/logistic.ts';

export type { LinearModel, Predictor } from './linear/predictor.ts';
export { linearPredictor } from './linear/predictor.ts';
export type { MultinomialModel, MultinomialOptions } from './linear/multinomial.ts';
export { MULTINOMIAL_PARAMETERS_MAX, fitMultinomial } from './linear/multinomial.ts';
export { CLASSES_MAX } from './linear/targets.ts';
export type { RegressionModel } from './linear/regression-model.ts';
export type { RidgeOptions } from './linear/ridge.ts';
export { RIDGE_SIDE_MAX, fitRidge } from './linear/ridge.ts';
export type {
  ElasticNetBaseOptions,
  ElasticNetOptions,
  ElasticNetPathOptions,
} from './linear/elastic-net-options.ts';
export { PATH_LENGTH_MAX } from './linear/elastic-net-options.ts';
export { ELASTIC_NET_COLUMNS_MAX } from './linear/coordinate-descent.ts';
export { DESIGN_VALUES_MAX } from './linear/design.ts';
export type { ElasticNetPathStep } from './linear/elastic-net.ts';
export { elasticNetPath, fitElasticNet } from './linear/elastic-net.ts';
export { fitLogisticElasticNet, logisticElasticNetPath } from './linear/logistic-elastic-net.ts';

export type { Calibration } from './calibrate/calibration.ts';
export { calibrate } from './calibrate/calibration.ts';
export type { IsotonicCalibration } from './calibrate/isotonic.ts';
export { fitIsotonic } from './calibrate/isotonic.ts';
export type { CalibrationOptions, PlattCalibration } from './calibrate/platt.ts';
export { fitPlatt } from './calibrate/platt.ts';

export type {
  BaselineModel,
  BaselineOptions,
  ClassBaselineOptions,
  ConstantModel,
  LastValueModel,
  LastValueOptions,
} from './baseline/baseline.ts';
export {
  baselinePredictor,
  fitClassPrior,
  fitLastValue,
  fitMajorityClass,
  fitMean,
} from './baseline/baseline.ts';

export type { CategoricalColumn, NumericColumn, Table } from './preprocess/table.ts';
export type { ColumnPlan, NumericPlan, OneHotPlan, TargetPlan } from './preprocess/plan.ts';
export type {
  NumericStep,
  OneHotStep,
  PreprocessorDescription,
  StepDescription,
  TargetStep,
} from './preprocess/description.ts';
export { CATEGORIES_MAX } from './preprocess/description.ts';
export { ONE_HOT_CATEGORIES_MAX } from './preprocess/fit-categorical.ts';
export { TARGET_FOLDS_MAX } from './preprocess/fit-target.ts';
export type { FittedPreprocessor, PreprocessorOptions } from './preprocess/preprocessor.ts';
export { PREPROCESSED_VALUES_MAX, Preprocessor } from './preprocess/preprocessor.ts';

export type { TreeEnsemble } from './gbdt/ensemble.ts';
export type { TreesOptions, TreesProgress, ValidationSet } from './gbdt/options.ts';
export { DEPTH_MAX, ROUNDS_MAX, TrainingStopped } from './gbdt/options.ts';
export { TRAINING_VALUES_MAX } from './gbdt/bins.ts';
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
