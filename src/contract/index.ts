/**
 * What the services say to each other. One word per idea: app, source, event, quarantine, feature group, vector, label,
 * dataset, model, version, decision, release, ledger, receipt, run (docs/concepts/words.md explains each).
 */
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
  type Event,
  eventFromValues,
  type EventReader,
  type EventResult,
  type QuarantineCode,
  type Rejection,
} from './event.ts';
export { keyHash, partitionOf, servedTopic, SOURCE_PARTITIONS, sourceTopic } from './partition.ts';
export {
  type InputOf,
  type Method,
  type ResultOf,
  type Route,
  SERVICE_NAMES,
  type ServiceName,
} from './route.ts';
export {
  BODY_BYTES_MAX,
  CANDIDATES_MAX,
  dataset,
  type Dataset,
  type DatasetRequest,
  type DecisionAnswer,
  type DecisionReplay,
  type FeaturesStatus,
  type GateVerdict,
  type IngestResult,
  type LedgerEntry,
  type ModelVersion,
  type ModelVersionInput,
  type Positions,
  type QuarantinedRecord,
  type RecordResult,
  type Release,
  RELEASE_SIGNAL,
  routes,
  type Run,
  type SourceDescription,
  TIMEOUT_MS,
  type VectorRead,
  type VectorRow,
} from './routes.ts';
