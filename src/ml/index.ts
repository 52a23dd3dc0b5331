/** Learning and evaluation of models on typed arrays: pure functions without input and output. */
export type { Matrix } from './matrix.ts';
export { matrix, matrixOf } from './matrix.ts';
export { SeededRandom } from './random.ts';

export type { LogisticModel, LogisticOptions, RawCoefficients } from './linear/logistic.ts';
export { LOGISTIC_COLUMNS_MAX, fitLogistic, rawCoefficients } from './linear/logistic.ts';

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
