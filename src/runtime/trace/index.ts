export { ExportQueue } from './export-queue.ts';
export { traceOptions, type TraceOptions } from './options.ts';
export { TRACE_ROUTES, type TraceList, type TraceSpans, type TraceSummary } from './routes.ts';
export { NO_TRACE, Tracer } from './tracer.ts';
