/** Learning and evaluation of models on typed arrays: pure functions without input and output. */
export type { Matrix } from './matrix.ts';
export { matrix, matrixOf } from './matrix.ts';
export { SeededRandom } from './random.ts';
export { CLASSES_MAX } from './classes.ts';

export type { LogisticModel, LogisticOptions, RawCoefficients } from './linear/logistic.ts';
export { LOGISTIC_COLUMNS_MAX, fitLogistic, rawCoefficients } from './linear/logistic.ts';

export type { LinearModel, Predictor } from './linear/predictor.ts';
export { linearPredictor } from './linear/predictor.ts';
export type { MultinomialModel, MultinomialOptions } from './linear/multinomial.ts';
export { MULTINOMIAL_PARAMETERS_MAX, fitMultinomial } from './linear/multinomial.ts';
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
export type { CodesPlan, ColumnPlan, NumericPlan, OneHotPlan, TargetPlan } from './preprocess/plan.ts';
export type {
  CodesStep,
  NumericStep,
  OneHotStep,
  PreprocessorDescription,
  StepDescription,
  TargetStep,
} from './preprocess/description.ts';
export { CATEGORIES_MAX, CODES_MAX } from './preprocess/description.ts';
export { ONE_HOT_CATEGORIES_MAX } from './preprocess/fit-categorical.ts';
export { TARGET_FOLDS_MAX } from './preprocess/fit-target.ts';
export type { FittedPreprocessor, PreprocessorOptions } from './preprocess/preprocessor.ts';
export { PREPROCESSED_VALUES_MAX, Preprocessor } from './preprocess/preprocessor.ts';

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
export { CATEGORY_CODE_MAX, DEPTH_MAX, RELEVANCE_MAX, ROUNDS_MAX, TrainingStopped } from './gbdt/options.ts';
export { TRAINING_VALUES_MAX } from './gbdt/bins.ts';
export { predictTrees } from './gbdt/predict.ts';
export { fitTrees } from './gbdt/train.ts';

export { MalformedModel, NotExplainable, UnsupportedGraph } from './onnx/errors.ts';
export type { MarginScale, RowExplainer } from './onnx/explain-model.ts';
export type { ReadLimits } from './onnx/limits.ts';
export { READ_LIMITS } from './onnx/limits.ts';
export type { ItemModelToEncode, ItemsToEncode } from './onnx/encode-items.ts';
export { encodeItemModel } from './onnx/encode-items.ts';
export type { ItemModel, KnownItems } from './onnx/load-items.ts';
export { loadItemModel } from './onnx/load-items.ts';
export type { ItemModelKind } from './onnx/items-form.ts';
export { encodeLogistic } from './onnx/encode-logistic.ts';
export { encodeTrees } from './onnx/encode-trees.ts';
export type { ExportableModel, Pipeline } from './onnx/encode-pipeline.ts';
export { encodePipeline } from './onnx/encode-pipeline.ts';
export { CURVE_POINTS_MAX } from './onnx/encode-calibration.ts';
export { INPUT_COLUMNS_MAX } from './onnx/limits.ts';
export type { ModelKind, ModelTask } from './onnx/compiled-form.ts';
export type { MixedRows } from './onnx/row-encoder.ts';
export type { CompiledModel } from './onnx/load-model.ts';
export { loadModel } from './onnx/load-model.ts';

export { aucRoc, averagePrecision, precisionAtK, recallAtK } from './metrics/ranking.ts';
export { brier, calibrationError, logLoss } from './metrics/probability.ts';
export type { CardPrecision, CardPrecisionInput } from './metrics/card-precision.ts';
export { cardPrecisionAtK } from './metrics/card-precision.ts';

export type { Explanation } from './explain/explanation.ts';
export { EXPLANATION_VALUES_MAX } from './explain/explanation.ts';
export type { ExplainableCategories, ExplainableTrees } from './explain/explainable-trees.ts';
export { EXPLAINED_NODES_MAX } from './explain/explainable-trees.ts';
export type { TreeRowExplainer } from './explain/tree-shap.ts';
export { PATH_FEATURES_MAX, explainTrees, treeExplainer, treeRowExplainer } from './explain/tree-shap.ts';
export type { ExplainableLinear, LinearExplanationOptions } from './explain/linear-shap.ts';
export { explainLinear } from './explain/linear-shap.ts';
export type {
  ColumnGroup,
  GroupImportance,
  PermutationImportance,
  PermutationOptions,
} from './explain/permutation-importance.ts';
export { PERMUTATION_REPEATS_MAX, permutationImportance } from './explain/permutation-importance.ts';
export type { Reason, Reasons, ReasonsOptions } from './explain/reasons.ts';
export { topReasons } from './explain/reasons.ts';

export type { IsolationOptions } from './anomaly/isolation-options.ts';
export {
  ISOLATION_DEPTH_MAX,
  ISOLATION_DRAWS_MAX,
  ISOLATION_SUBSAMPLE_MAX,
  ISOLATION_TREES_MAX,
} from './anomaly/isolation-options.ts';
export type { IsolationEnsemble, IsolationForest } from './anomaly/isolation-forest.ts';
export { fitIsolationForest, isolationEnsemble, scoreAnomalies } from './anomaly/isolation-forest.ts';
export { isolationPathLength } from './anomaly/path-length.ts';
export type { PathTrees } from './anomaly/path-trees.ts';
export type { ThresholdInput, ThresholdMetrics } from './metrics/threshold.ts';
export { metricsAtThreshold } from './metrics/threshold.ts';
export type {
  ClassifiedRows,
  ClassMetrics,
  ConfusionMatrix,
  MulticlassMetrics,
  MulticlassProbabilities,
} from './metrics/multiclass.ts';
export { accuracy, confusionMatrix, multiclassLogLoss, multiclassMetrics } from './metrics/multiclass.ts';
export type { PinballInput } from './metrics/regression.ts';
export {
  meanAbsoluteError,
  meanPoissonDeviance,
  pinballLoss,
  r2,
  rootMeanSquaredError,
} from './metrics/regression.ts';
export type {
  RecommendationInput,
  RecommendationMetrics,
  RecommendationScores,
} from './metrics/recommendation.ts';
export { catalogueCoverage, recommendationMetrics } from './metrics/recommendation.ts';
export type { PrecisionRecallCurve, RocCurve } from './metrics/curves.ts';
export { precisionRecallCurve, rocCurve } from './metrics/curves.ts';
export type { ReliabilityCurve, ReliabilityOptions } from './metrics/reliability.ts';
export { reliabilityCurve } from './metrics/reliability.ts';
export type { BootstrapInterval, BootstrapOptions, BootstrapRows } from './metrics/bootstrap/bootstrap.ts';
export { RESAMPLES_MAX, bootstrap } from './metrics/bootstrap/bootstrap.ts';
export type { Metric } from './metrics/bootstrap/evaluate.ts';
export { STRATA_MAX } from './metrics/bootstrap/units.ts';
export type { ShareInterval } from './metrics/share-interval.ts';
export { shareInterval } from './metrics/share-interval.ts';
export type { SliceColumn, SliceMembers, SliceValue } from './metrics/slice-members.ts';
export { SLICES_MAX, SLICE_BINS_MAX, membersOf } from './metrics/slice-members.ts';
export type {
  MeasuredSlice,
  SliceOptions,
  SliceReport,
  UnmeasuredSlice,
  WorstSlice,
} from './metrics/slices.ts';
export { metricBySlice } from './metrics/slices.ts';

export type { RowKey, Split } from './validation/split.ts';
export { SPLIT_ROWS_MAX, checkSplit } from './validation/split.ts';
export type { HoldoutOptions } from './validation/holdout.ts';
export { groupedSplit, randomSplit, stratifiedSplit } from './validation/holdout.ts';
export type { FoldOptions } from './validation/folds.ts';
export { FOLDS_MAX, groupFolds, randomFolds, stratifiedFolds } from './validation/folds.ts';
export type { LabelledGroups } from './validation/stratified-group-folds.ts';
export { stratifiedGroupFolds } from './validation/stratified-group-folds.ts';
export type { PrequentialFold, PrequentialOptions, TimeSplitOptions } from './validation/time-splits.ts';
export { prequentialFolds, timeSplit } from './validation/time-splits.ts';

export type {
  ChoiceParameter,
  NumberParameter,
  Parameter,
  ParameterValue,
  ParameterValues,
  SearchSpace,
} from './search/space.ts';
export { CHOICE_OPTIONS_MAX, PARAMETERS_MAX, readSpace } from './search/space.ts';
export type {
  HyperbandOptions,
  SearchAlgorithm,
  SearchOptions,
  SearchPlan,
  TpeOptions,
} from './search/options.ts';
export { SEARCH_TRIALS_MAX } from './search/options.ts';
export type { SearchState, Trial, TrialOutcome } from './search/trial.ts';
export type { Search } from './search/search.ts';
export { restoreSearch, startSearch } from './search/search.ts';
export type { HyperbandBracket, HyperbandRung } from './search/hyperband.ts';
export { hyperbandBrackets } from './search/hyperband.ts';
export type { SearchResult } from './search/results.ts';
export { bestTrial, searchResults } from './search/results.ts';
export type { PictureOptions } from './search/picture.ts';
export { PICTURE_PARAMETERS_MAX, PICTURE_TRIALS_MAX, searchPicture } from './search/picture.ts';
export { choleskyFactor } from './algebra/cholesky.ts';
export { SYMMETRIC_SIDE_MAX, invertSymmetric } from './algebra/symmetric.ts';

export type { Id } from './recommend/id-table.ts';
export { IDS_MAX, ID_LENGTH_MAX, IdTable } from './recommend/id-table.ts';
export type { MergeRule, SparseRows } from './recommend/sparse.ts';
export type {
  InteractionColumns,
  Interactions,
  InteractionsChange,
  InteractionsOptions,
  ReadUserItems,
  UserItems,
} from './recommend/interactions.ts';
export {
  INTERACTIONS_MAX,
  INTERACTION_WEIGHT_MAX,
  INTERACTION_WEIGHT_MIN,
  extendInteractions,
  interactionsOf,
  itemsOfUser,
  userItemsOf,
} from './recommend/interactions.ts';
export type { MostPopularModel, MostPopularOptions, PopularityDecay } from './recommend/most-popular.ts';
export { fitMostPopular, updateMostPopular } from './recommend/most-popular.ts';
export type { EaseModel, EaseOptions } from './recommend/ease.ts';
export { EASE_ITEMS_MAX, easeWeights, fitEase, updateEase } from './recommend/ease.ts';
export type { ItemKnnModel, ItemKnnOptions } from './recommend/item-knn.ts';
export {
  NEIGHBOURS_MAX,
  NEIGHBOUR_PLACES_MAX,
  fitItemKnn,
  itemCosine,
  updateItemKnn,
} from './recommend/item-knn.ts';
export type { AlsModel, AlsOptions } from './recommend/als.ts';
export {
  ALS_FACTORS_MAX,
  ALS_SWEEPS_MAX,
  alsObjective,
  fitAls,
  foldInUser,
  updateAls,
} from './recommend/als.ts';
export type { RecommendationModel } from './recommend/model.ts';
export { itemCountOf, itemScores } from './recommend/model.ts';
export type { ItemSet, RankedItem, RankingRules } from './recommend/ranking.ts';
export { RANKING_ITEMS_MAX, topItems } from './recommend/ranking.ts';
export type { DiversityOptions } from './recommend/diversity.ts';
export { COMPARISONS_MAX, diversify } from './recommend/diversity.ts';
export type {
  FallbackReason,
  Recommendation,
  RecommendedItem,
  RecommendOptions,
} from './recommend/recommend.ts';
export { recommend } from './recommend/recommend.ts';
