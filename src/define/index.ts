/**
 * What a team imports to write an app down: sources, labels, feature groups, vectors, models, decisions. Everything here
 * is pure: nothing reads a clock, a disk or the network.
 */
export type { Abstention } from './abstention.ts';
export {
  type Aggregate,
  AGGREGATE_LIMITS,
  type AggregateBuilder,
  count,
  distinct,
  first,
  firstK,
  histogram,
  last,
  lastK,
  max,
  mean,
  min,
  percentile,
  ratio,
  std,
  sum,
  topK,
  variance,
} from './aggregate.ts';
export { type App, type AppOptions, defineApp, type Trainable, trainableNamed, trainablesOf } from './app.ts';
export { type Decision, decision, type DecisionOptions, type VerifiedGate } from './decision.ts';
export {
  assertReplicas,
  defineDeployment,
  type DeployedService,
  type Deployment,
  type DeploymentOptions,
  type MachineOptions,
  readReplicaRange,
  type ReplicaRange,
  REPLICAS_MAX,
  type ServiceDeployment,
  type ServiceDeploymentOptions,
} from './deployment.ts';
export { type Duration, durationMs } from './duration.ts';
export { categoriesOf, category, CATEGORY_LIMITS } from './category.ts';
export { code, CODE_BITS, codeOf } from './code.ts';
export { compileExpression, type Evaluator, type Value, type Values } from './evaluate.ts';
export {
  absolute,
  AS_OF_FIELD,
  asOf,
  dayOfWeek,
  Expression,
  type ExpressionNode,
  hourOfDay,
  isWeekend,
  type Operator,
  type ValueType,
} from './expression.ts';
export {
  external,
  EXTERNAL_LIMITS,
  type ExternalTrainer,
  type ExternalTrainerOptions,
  type ParameterValue,
} from './external.ts';
export {
  type EventStream,
  type Feature,
  type FeatureGroup,
  type FeatureItem,
  features,
  type FeaturesOptions,
  SEMANTICS_VERSION,
} from './features.ts';
export {
  boolean,
  embedding,
  type Field,
  type FieldKind,
  type FieldOptions,
  id,
  ID_LENGTH_MAX,
  integer,
  key,
  money,
  number,
  type Personal,
  text,
  timestamp,
} from './field.ts';
export { canonicalJson, definitionHash } from './hash.ts';
export { label, type Label, type LabelDefinition, type LabelOptions, type MaturedLabel } from './label.ts';
export {
  atLeast,
  atMost,
  betterThanBaseline,
  gateBoundText,
  type Gate,
  type GateIdentity,
  type GateMeasure,
  type GateOptions,
  isHigherBetter,
  isGateMet,
  isRankingMetric,
  isSameGate,
  isSameGateMeasure,
  gateMeasureText,
  type MetricName,
  type RankingMetricName,
  type ThresholdMetricName,
} from './gate.ts';
export {
  type CalibrationKind,
  defineModel,
  gbdt,
  type GbdtOptions,
  type GbdtTrainer,
  type InnerTrainer,
  logistic,
  type LogisticTrainer,
  type Model,
  type ModelOptions,
  taskOf,
  type Trainer,
} from './model.ts';
export {
  env,
  type EnvironmentValue,
  type PolledTable,
  postgresTable,
  type PostgresTableOptions,
} from './poll.ts';
export {
  type EarlierRecommender,
  type Ranking,
  type RankOptions,
  type Recommendation,
  recommendation,
  RECOMMENDATION_LIMITS,
  type RecommendationOptions,
} from './recommendation.ts';
export {
  boundedWeight,
  defineRecommender,
  historyVector,
  lastOfUsers,
  readHistory,
  RECOMMENDER_LIMITS,
  type Recommender,
  type RecommenderOptions,
  type UserHistory,
  type UserSplit,
} from './recommender.ts';
export { RECOMMENDER_METRICS, type RecommenderMetricName } from './recommender-metric.ts';
export {
  ease,
  type EaseTrainer,
  itemKnn,
  type ItemKnnTrainer,
  mostPopular,
  type MostPopularTrainer,
  type RecommenderTrainer,
} from './recommender-trainers.ts';
export {
  every,
  type EveryOptions,
  type EveryRule,
  lastDueAt,
  type NewEventsRule,
  type NewLabelsRule,
  nextDueAt,
  onNewEvents,
  onNewLabels,
  RETRAIN_LIMITS,
  type RetrainRule,
  retrainText,
} from './retrain.ts';
export {
  type EventOf,
  type FieldExpressions,
  type Fields,
  source,
  type Source,
  type SourceOptions,
} from './source.ts';
export {
  byFolds,
  byTime,
  excludedEntity,
  FOLD_SPLIT_LIMITS,
  type FoldSplit,
  type FoldSplitOptions,
  type ModelSplit,
  type TimeSplit,
  type TimeSplitOptions,
} from './split.ts';
export { pick, type PickedFeatures } from './pick.ts';
export { withTrainerFiles } from './trainer-files.ts';
export type { AggregateKind, AggregateParameters, AggregateSpec, Window } from './tree.ts';
export { vector, type Vector, type VectorPart, type VectorValue } from './vector.ts';
