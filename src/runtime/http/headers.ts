/**
 * `no` on a refusal that came before anything was begun, so that also a call which is not idempotent may be sent
 * again. The server sets it in no other place.
 */
export const BEGUN_HEADER = 'x-tandem-begun';
/** `yes` on answers of a server that is stopping: the next call should go to another instance. */
export const STOPPING_HEADER = 'x-tandem-stopping';
