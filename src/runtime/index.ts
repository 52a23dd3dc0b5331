export * from './ports/index.ts';
export {
  type CallContext,
  type Caller,
  type CallOptions,
  type Counter,
  type Gauge,
  handler,
  type HandlerEntry,
  type Histogram,
  type Logger,
  type Metrics,
  type RawBody,
  type Readiness,
  type RunningService,
  type ServiceDefinition,
  type ServiceHost,
} from './service.ts';
