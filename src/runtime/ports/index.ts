export type { Clock, Random } from './clock.ts';
export type {
  CommandEnd,
  CommandInput,
  CommandOptions,
  CommandOutput,
  CommandRequest,
  CommandResult,
  Commands,
} from './commands.ts';
export type { Compute, ComputeHelpers, ComputeOptions } from './compute.ts';
export type {
  AppendOptions,
  Claim,
  ConsumerGroups,
  EventLog,
  EventLogLimits,
  PartitionRange,
  ReadOptions,
  RecordBatch,
  RecordBody,
  Topic,
  TopicOptions,
} from './event-log.ts';
export {
  type Instance,
  type Instances,
  INSTANCES_SIGNAL,
  type Need,
  NEED_MS,
  NEEDS_SIGNAL,
} from './instances.ts';
export type {
  Backlog,
  JobAttempt,
  Jobs,
  JobState,
  JobStatus,
  QueueOptions,
  SendOptions,
  WorkLimits,
} from './jobs.ts';
export { type Keys, KEYS_MAX, KEYS_SIGNAL, type StoredKey } from './keys.ts';
export type { ObjectReference, Objects } from './objects.ts';
export type {
  OutsidePage,
  OutsidePageOptions,
  OutsideRow,
  OutsideTables,
  PolledTable,
  TablePlace,
} from './outside-tables.ts';
export type { Migration, MigrationSet, Signals, TableRow, Tables, TableValue } from './tables.ts';
export type {
  ColumnSpec,
  ColumnType,
  ColumnValues,
  ResultColumns,
  RowAppender,
  Warehouse,
  WarehouseSession,
} from './warehouse.ts';
export type {
  Thread,
  ThreadContext,
  ThreadEnd,
  ThreadEndReason,
  ThreadModule,
  ThreadOptions,
  Threads,
} from './threads.ts';
export type {
  DoneOptions,
  FinishedSpan,
  OpenSpan,
  SpanAttributes,
  SpanExporter,
  SpanKind,
  SpanLink,
  SpanValue,
  Trace,
  TraceScope,
} from './trace.ts';
