export * from './ports/index.ts';
export { type AccessOptions, hashSecret, type JwtOptions, makeApiKey, readApiKey } from './auth/index.ts';
export { BytesBody, currentRequestId, isRawBody } from './call.ts';
export { combinedCaller, type CombinedCaller, localCaller, type LocalCallerTools } from './caller.ts';
export {
  type Config,
  type ConfigEntry,
  type ConfigOrigins,
  type ConfigSection,
  readConfig,
  variableName,
} from './config.ts';
export {
  ArmedFailPoints,
  type ArmedPoint,
  FAIL_POINTS,
  type FailPointName,
  type FailPoints,
  noFailPoints,
  parseFailPoints,
} from './fail-points.ts';
export {
  type BuildInfo,
  type Ports,
  type RunningServices,
  startServices,
  type StartOptions,
} from './host.ts';
export { CALL_LIMITS, httpCaller, type HttpCaller, type HttpCallerOptions } from './http/client.ts';
export {
  httpLimits,
  type HttpLimits,
  type HttpOptions,
  type HttpServer,
  isLoopback,
  mountHttp,
  openApiDocument,
  type OpenApiInfo,
  refuseOpenAddress,
  type TlsIdentity,
  type TlsPeers,
} from './http/index.ts';
export { isPortFree, lastingPort } from './lasting-port.ts';
export { createLogger, type LoggerOptions, type LogLevel, type RootLogger } from './logger.ts';
export { createMetrics, type MetricsRegistry } from './metrics.ts';
export { didYouMean, nearest } from './nearest.ts';
export { RecentLevel, RecentSamples } from './recent.ts';
export { scalingTargets, type ScalingTargets, targetsOf } from './scaling.ts';
export {
  type Admission,
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
export {
  NO_TRACE,
  TRACE_ROUTES,
  type TraceList,
  traceOptions,
  type TraceOptions,
  type TraceSpans,
  type TraceSummary,
} from './trace/index.ts';
