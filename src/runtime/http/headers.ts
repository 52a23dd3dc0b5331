/**
 * `no` on a refusal that came before anything was begun, so that also a call which is not idempotent may be sent
 * again. The server sets it in no other place.
 */
export const BEGUN_HEADER = 'x-tandem-begun';
/** The id of the trace that a request belongs to, on its answer. */
export const TRACE_HEADER = 'x-trace-id';
/** `yes` on answers of a server that is stopping: the next call should go to another instance. */
export const STOPPING_HEADER = 'x-tandem-stopping';
