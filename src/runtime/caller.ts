import { type AnyRoute, PlatformError, type ServiceName } from '../contract/index.ts';
import {
  abortError,
  currentRequestId,
  deadlineError,
  IN_PROCESS,
  internalError,
  OpenCall,
  withScope,
} from './call.ts';
import { httpCaller, type HttpCallerOptions } from './http/client.ts';
import { type Forward, makeForward } from './http/forward.ts';
import type { Clock, Random } from './ports/index.ts';
import type { Caller, CallOptions, HandlerEntry, RunningService } from './service.ts';
import type { Tracer } from './trace/tracer.ts';

export interface LocalCallerTools {
  readonly clock: Clock;
  readonly random: Random;
  /** Measures calls. */
  readonly tracer?: Tracer | undefined;
}

/**
 * Calls services of this process as functions. `services` is read at every call, so it may fill while they
 * start; a service that is not there is UNAVAILABLE.
 *
 * Nothing is copied: what is passed is handed over. Neither side may change an input or a result after it
 * passed it, as if it had been sent away; a copy would cost more than most calls.
 */
export function localCaller(
  services: ReadonlyMap<ServiceName, RunningService>,
  tools: LocalCallerTools,
): Caller {
  const find = handlerFinder(services);
  const call = (route: AnyRoute, input: unknown, options: CallOptions = {}): Promise<unknown> => {
    const entry = find(route);
    if (entry === undefined) {
      return Promise.reject(
        new PlatformError('UNAVAILABLE', `The ${route.service} service has not started or has stopped`),
      );
    }
    return callHandler(entry, input, options, tools);
  };
  return call as Caller;
}

/** Finds the handler of a route in what runs now, through an index made once for each start of a service. */
function handlerFinder(
  services: ReadonlyMap<ServiceName, RunningService>,
): (route: AnyRoute) => HandlerEntry | undefined {
  const indexes = new WeakMap<RunningService, ReadonlyMap<string, HandlerEntry>>();
  return (route) => {
    const service = services.get(route.service);
    if (service === undefined) return undefined;
    let index = indexes.get(service);
    if (index === undefined) {
      index = new Map(service.handlers.map((entry) => [entry.route.name, entry]));
      indexes.set(service, index);
    }
    return index.get(route.name);
  };
}

function callHandler(
  entry: HandlerEntry,
  input: unknown,
  options: CallOptions,
  { clock, random, tracer }: LocalCallerTools,
): Promise<unknown> {
  const { name, timeoutMs: routeTimeoutMs } = entry.route;
  const timeoutMs = options.timeoutMs ?? routeTimeoutMs;
  const { signal } = options;
  if (signal?.aborted === true) return Promise.reject(abortError(name, signal));
  if (timeoutMs <= 0) return Promise.reject(deadlineError(name, timeoutMs));
  const call = new OpenCall(currentRequestId() ?? random.id(), clock.monotonic() + timeoutMs);
  call.span = tracer?.call(entry.route, 'internal');
  call.principal = IN_PROCESS;
  return new Promise((resolve, reject) => {
    const giveUp = (error: PlatformError): void => {
      call.abort(error);
      end(error);
      reject(error);
    };
    const onAbort = (): void => giveUp(abortError(name, signal));
    const timer = setTimeout(() => giveUp(deadlineError(name, timeoutMs)), timeoutMs);
    const end = (error?: unknown): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      if (call.span !== undefined) tracer?.end(call.span, error);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    withScope(call, async () => entry.handle(input, call)).then(
      (result) => {
        end();
        resolve(result);
      },
      (error: unknown) => {
        end(error ?? 'unknown');
        reject(PlatformError.is(error) ? error : internalError(error));
      },
    );
  });
}

/**
 * Lets a service call only what it says that it calls, because what it says is what builds of its neighbours are
 * compared with. Throws a TypeError on another call.
 */
export function declaredCaller(name: ServiceName, declared: readonly AnyRoute[], caller: Caller): Caller {
  const known = new Set(declared.map((route) => route.name));
  const call = caller as (route: AnyRoute, ...rest: unknown[]) => Promise<unknown>;
  const checked = (route: AnyRoute, ...rest: unknown[]): Promise<unknown> => {
    if (!known.has(route.name)) {
      throw new TypeError(
        `The ${name} service calls ${route.name} and does not say so: add it to its 'calls'`,
      );
    }
    return call(route, ...rest);
  };
  return checked as Caller;
}

export interface CombinedCaller {
  readonly call: Caller;
  /** Passes a request on to another process as it came. */
  readonly forward: Forward;
  close(): Promise<void>;
}

/**
 * Calls services of this process as functions and the others over HTTP; they answer alike. A service that has
 * neither a handler here nor an address is a mistake of configuration.
 */
export function combinedCaller(
  services: ReadonlyMap<ServiceName, RunningService>,
  local: ReadonlySet<ServiceName>,
  options: HttpCallerOptions,
): CombinedCaller {
  const here = localCaller(services, options) as (route: AnyRoute, ...rest: unknown[]) => Promise<unknown>;
  const remote = httpCaller(options);
  const there = remote.call as (route: AnyRoute, ...rest: unknown[]) => Promise<unknown>;
  const call = (route: AnyRoute, input: unknown, callOptions?: CallOptions): Promise<unknown> =>
    local.has(route.service) && callOptions?.instance === undefined
      ? here(route, input, callOptions)
      : there(route, input, callOptions);
  return { call: call as Caller, forward: makeForward(remote, options), close: () => remote.close() };
}
