/**
 * What the services say to each other. One word per idea: app, source, event, quarantine, feature group, vector, label,
 * dataset, model, version, decision, release, ledger, receipt, run (docs/concepts/words.md explains each).
 */
export { incompatibilities } from './build/compatibility.ts';
export {
  type BuildContract,
  contractHash,
  describeBuild,
  type Party,
  readBuildContract,
  type StepContract,
} from './build/description.ts';
export { breakingWords } from './build/migration-compatibility.ts';
export {
  ERROR_CODES,
  type ErrorCode,
  fromProblem,
  PlatformError,
  type Problem,
  toProblem,
} from './errors.ts';
export {
  compileEventReader,
  compileFieldChecks,
  compileRecordReader,
  DELETED_FIELD,
  type Event,
  eventFromValues,
  type EventMark,
  type EventReader,
  type EventResult,
  type FieldCheck,
  type QuarantineCode,
  type Rejection,
  REVISION_FIELD,
} from './event.ts';
export {
  keyHash,
  partitionOf,
  servedTopic,
  SOURCE_PARTITIONS,
  sourceTopic,
  STATE_PARTITIONS,
} from './partition.ts';
export { type Caste, LOCAL_PRINCIPAL, mayCall, type Principal, type Role, ROLES } from './role.ts';
export {
  type AnyRoute,
  type InputOf,
  type Method,
  type ResultOf,
  type Route,
  SERVICE_NAMES,
  type ServiceName,
} from './route.ts';
export {
  CANDIDATES_MAX,
  dataset,
  type Dataset,
  type DatasetRebuild,
  type DatasetRequest,
  type FeaturesStatus,
  type VectorParts,
  type VectorRead,
  type VectorRow,
} from './routes/features.ts';
export { type KeyDescription } from './routes/gateway.ts';
export { positionSets, positionsOfRow, positionsOfRows } from './row-positions.ts';
export { routes } from './routes/index.ts';
export {
  type IngestResult,
  type PollStatus,
  type QuarantinedRecord,
  type RecordResult,
  type SourceDescription,
} from './routes/ingest.ts';
export {
  type Fallback,
  type RankedBy,
  type RecommendationAnswer,
  type RecommendationRecord,
  type RecommendationWishes,
  type RecommendedItem,
} from './routes/recommendations.ts';
export {
  type ModelVersion,
  type CardForm,
  type ModelVersionInput,
  NO_LABEL_HASH,
  type Release,
  type ReleasedRanker,
  RELEASE_SIGNAL,
} from './routes/registry.ts';
export { type DecisionExplanation, type InputReference } from './routes/explanations.ts';
export { type Review, type ReviewAnswer } from './routes/reviews.ts';
export {
  type DecisionAnswer,
  type DecisionReason,
  type DecisionReplay,
  LEDGER_READ_MAX,
  type LedgerEntry,
} from './routes/serve.ts';
export { BODY_BYTES_MAX, type Positions, type RowPositions, TIMEOUT_MS } from './routes/shared.ts';
export {
  type GateVerdict,
  type Run,
  type RunReason,
  type Schedule,
  type ScheduleRule,
} from './routes/train.ts';
export {
  type Difference,
  DIFFERENCES_MAX,
  type NotRecomputable,
  SAMPLE_MAX,
  verification,
  type Verification,
  type VerificationRequest,
  type VerificationSummary,
} from './routes/verify.ts';
export { gateValueText, gateVerdictText } from './gate-verdict.ts';
export { SCALING_METRICS, SCALING_SIGNALS, type ScalingSignal, type ScalingSignalName } from './scaling.ts';
