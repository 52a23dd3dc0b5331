import { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import {
  type AnyRoute,
  type ErrorCode,
  fromProblem,
  PlatformError,
  type ServiceName,
} from '../../contract/index.ts';
import { Arrivals } from './arrivals.ts';
import { Balancer, type Pick, type PickEnd } from './balancer.ts';
import { type Answer, Exchange } from './exchange.ts';
import { BEGUN_HEADER, STOPPING_HEADER } from './headers.ts';
import { Pools } from './pools.ts';
import { isStranger, strangerError } from './stranger.ts';
import { abortError, BytesBody, currentRequestId, deadlineError, isRawBody } from '../call.ts';
import type { Clock, Random } from '../ports/index.ts';
import type { Caller, CallOptions } from '../service.ts';
import { traceHeaders } from '../trace/headers.ts';
import type { Span } from '../trace/span.ts';
import type { Tracer } from '../trace/tracer.ts';
import type { TlsPeers } from './tls.ts';

/** Limits of calls between processes. */
export const CALL_LIMITS = {
  /** Tries of a call that may be repeated, the first included. */
  attemptsMax: 4,
  /**
   * Pause before the second try, in milliseconds; it doubles with each further one, with jitter of a half.
   */
  pauseMs: 50,
  /** Longest pause that is not asked for by `retry-after`, in milliseconds. */
  pauseMsMax: 1_000,
  /** How long connecting may take, in milliseconds. */
  connectMs: 3_000,
  /**
   * How long an idle connection is kept, in milliseconds: shorter than servers keep theirs, so that none is
   * used as it dies.
   */
  keepAliveMs: 30_000,
  /** Connections to one address. */
  connectionsMax: 128,
  /** Size of an answer, in bytes: 256 MiB. */
  answerBytesMax: 268_435_456,
} as const;

export interface HttpCallerOptions {
  /** Base addresses of a service at this moment: one for each of its instances. */
  readonly addresses: (service: ServiceName) => readonly URL[];
  /** Base address of one instance, for calls that name it; none is known by default. */
  readonly addressOf?: (service: ServiceName, instance: string) => URL | undefined;
  readonly clock: Clock;
  readonly random: Random;
  /** Measures calls. */
  readonly tracer?: Tracer | undefined;
  /** What servers must show that speak TLS. */
  readonly peers?: TlsPeers | undefined;
  /** The `authorization` header for calls to a service. Default: none. */
  readonly authorize?: ((service: ServiceName) => string | Promise<string>) | undefined;
  /**
   * Whether calls are made with the credentials of whoever runs this process, who is then to hear why they are refused.
   * Default: with those of a service, and whoever refuses them is not the one that was called.
   */
  readonly asUser?: boolean;
  /** Says that a service is needed that has no address. With it calls wait for one, without it they fail at once. */
  readonly need?: (service: ServiceName) => Promise<void>;
  /** Tells of each change of the addresses; the function that comes back ends that. */
  readonly subscribe?: (listener: () => void) => () => void;
}

export interface HttpCaller {
  readonly call: Caller;
  /** What else goes to the same instances over the same connections. */
  readonly pools: Pools;
  readonly balancer: Balancer;
  readonly arrivals: Arrivals;
  close(): Promise<void>;
}

/**
 * Calls services over HTTP, each call at the less loaded of two instances. Idempotent calls are tried again on connection
 * errors and retryable answers, any others only when it is certain that they were not begun: the connection was refused,
 * or the server said so. Tries go to another instance if there is one, within a budget. A call of a service without an
 * instance says that it is needed and waits for one.
 */
export function httpCaller(options: HttpCallerOptions): HttpCaller {
  const pools = new Pools({
    connections: CALL_LIMITS.connectionsMax,
    pipelining: 1,
    keepAliveTimeout: CALL_LIMITS.keepAliveMs,
    keepAliveMaxTimeout: CALL_LIMITS.keepAliveMs,
    connect: { timeout: CALL_LIMITS.connectMs, ...options.peers },
    maxResponseSize: CALL_LIMITS.answerBytesMax,
    // The deadline of the call ends it; these would only get in the way of long ones.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  const balancer = new Balancer({ ...options, forget: (origin) => pools.forget(origin) });
  const arrivals = new Arrivals(options);
  const unsubscribe = options.subscribe?.(() => balancer.refresh());
  const call = (route: AnyRoute, input: RouteInput, callOptions: CallOptions = {}): Promise<unknown> => {
    const span = options.tracer?.call(route, 'client');
    const attempt = { pools, balancer, arrivals, options, route, input, callOptions, span };
    const done = callOptions.instance === undefined ? callWithRetries(attempt) : callInstance(attempt);
    return span === undefined ? done : measured(done, span, options);
  };
  const close = (): Promise<void> => {
    unsubscribe?.();
    arrivals.close();
    return pools.close();
  };
  return { call: call as Caller, pools, balancer, arrivals, close };
}

interface RouteInput {
  readonly params: Readonly<Record<string, unknown>>;
  readonly query: Readonly<Record<string, unknown>>;
  readonly body: unknown;
}

interface Attempt {
  readonly pools: Pools;
  readonly balancer: Balancer;
  readonly arrivals: Arrivals;
  readonly options: HttpCallerOptions;
  readonly route: AnyRoute;
  readonly input: RouteInput;
  readonly callOptions: CallOptions;
  readonly span: Span | undefined;
}

/** Ends the span of a call with the call. */
async function measured(done: Promise<unknown>, span: Span, { tracer }: HttpCallerOptions): Promise<unknown> {
  try {
    const result = await done;
    tracer?.end(span);
    return result;
  } catch (error) {
    tracer?.end(span, error ?? 'unknown');
    throw error;
  }
}

async function callWithRetries(attempt: Attempt): Promise<unknown> {
  const { route, options, callOptions, input, balancer } = attempt;
  const { clock, random } = options;
  const timeoutMs = callOptions.timeoutMs ?? route.timeoutMs;
  const deadlineMs = clock.monotonic() + timeoutMs;
  const isStream = isRawBody(input.body) && !(input.body instanceof BytesBody);
  let failedAt: URL | undefined;
  for (let tried = 1; ; tried += 1) {
    const leftMs = deadlineMs - clock.monotonic();
    if (leftMs <= 0) throw deadlineError(route.name, timeoutMs);
    const pick =
      balancer.pick(route.service, failedAt) ?? (await pickArrival(attempt, leftMs)) ?? noAddress(route);
    const outcome = await callAt(pick, attempt, leftMs, timeoutMs);
    if (!('error' in outcome)) return outcome.result;
    const { error, begun } = outcome;
    // Counts the tries that came to nothing; the last one is the call's own end.
    attempt.span?.set('http.request.resend_count', tried);
    if (isStream || !error.retryable || tried >= CALL_LIMITS.attemptsMax) throw error;
    if (begun && !route.idempotent) throw error;
    if (!balancer.mayRetry(route.service)) throw error;
    failedAt = pick.address;
    // Who was refused before anything began need not wait for another instance.
    if (!begun && tried === 1 && balancer.hasOther(route.service, failedAt)) continue;
    const grownMs = Math.min(CALL_LIMITS.pauseMsMax, CALL_LIMITS.pauseMs * 2 ** (tried - 1));
    const pauseMs = Math.max(grownMs * (0.5 + random.float() / 2), outcome.retryAfterMs);
    if (clock.monotonic() + pauseMs >= deadlineMs) throw error;
    await clock.sleep(pauseMs, callOptions.signal);
    if (callOptions.signal?.aborted === true) throw abortError(route.name, callOptions.signal);
  }
}

/** Calls one instance, once: the caller chose it, and knows better what to do when it fails. */
async function callInstance(attempt: Attempt): Promise<unknown> {
  const { route, options, callOptions } = attempt;
  const { instance = '', timeoutMs = route.timeoutMs } = callOptions;
  if (timeoutMs <= 0) throw deadlineError(route.name, timeoutMs);
  const address = options.addressOf?.(route.service, instance);
  if (address === undefined) {
    throw new PlatformError(
      'UNAVAILABLE',
      `Instance ${instance} of the ${route.service} service is not known`,
      {
        details: { service: route.service, instance },
      },
    );
  }
  const outcome = await callOnce(address, attempt, timeoutMs, timeoutMs);
  if ('error' in outcome) throw outcome.error;
  return outcome.result;
}

/** Waits for a first instance of a service that has none. */
async function pickArrival(
  { arrivals, balancer, route, callOptions }: Attempt,
  leftMs: number,
): Promise<Pick | undefined> {
  const { signal } = callOptions;
  if (await arrivals.wait(route.service, leftMs, signal)) return balancer.pick(route.service);
  if (signal?.aborted === true) throw abortError(route.name, signal);
  return undefined;
}

type Outcome = Success | Failure;

interface Success {
  readonly result: unknown;
  readonly isLeaving: boolean;
}

interface Failure {
  readonly error: PlatformError;
  readonly retryAfterMs: number;
  /** `false` only if it is certain that no handler saw the call. */
  readonly begun: boolean;
  readonly isLeaving: boolean;
  /** Whoever answered is not the service. Default: it is, as far as anybody can know. */
  readonly isStrange?: true;
}

/** One try; the balancer learns whether the instance was to blame. */
async function callAt(pick: Pick, attempt: Attempt, leftMs: number, timeoutMs: number): Promise<Outcome> {
  let how: PickEnd = 'failed';
  try {
    const outcome = await callOnce(pick.address, attempt, leftMs, timeoutMs);
    how = endOf(outcome);
    return outcome;
  } catch (error) {
    // A deadline that passed may be the instance's fault; a caller that went away is not.
    if (attempt.callOptions.signal?.aborted === true) how = 'answered';
    throw error;
  } finally {
    pick.end(how);
  }
}

function endOf(outcome: Outcome): PickEnd {
  if (outcome.isLeaving) return 'leaving';
  if (!('error' in outcome)) return 'answered';
  if (outcome.isStrange === true) return 'strange';
  const { code } = outcome.error;
  return code === 'UNAVAILABLE' || code === 'DEADLINE_EXCEEDED' ? 'failed' : 'answered';
}

async function callOnce(address: URL, attempt: Attempt, leftMs: number, timeoutMs: number): Promise<Outcome> {
  const { pools, route, callOptions, span } = attempt;
  const { signal } = callOptions;
  span?.set('server.address', address.hostname);
  span?.set('server.port', Number(address.port));
  const request = buildRequest(address, attempt, leftMs);
  const given = attempt.options.authorize?.(route.service);
  const authorization = typeof given === 'object' ? await given : given;
  if (authorization !== undefined) request.headers['authorization'] = authorization;
  if (signal?.aborted === true) throw abortError(route.name, signal);
  const exchange = new Exchange(pools.to(address.origin), request);
  const onAbort = (): void => exchange.abandon(abortError(route.name, signal));
  const timer = setTimeout(() => exchange.abandon(deadlineError(route.name, timeoutMs)), leftMs);
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return readAnswer(attempt, await exchange.answer);
  } catch (error) {
    if (PlatformError.is(error)) throw error;
    return {
      error: connectionError(route, error),
      retryAfterMs: 0,
      begun: !wasNotSent(error),
      isLeaving: false,
    };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

/** Whether a request certainly never left: there was no connection that could carry it. */
export function wasNotSent(error: unknown): boolean {
  const { code, syscall, errors } = error as {
    readonly code?: unknown;
    readonly syscall?: unknown;
    readonly errors?: unknown;
  };
  // A name with several addresses was tried at all of them.
  if (Array.isArray(errors)) return errors.length > 0 && errors.every(wasNotSent);
  if (syscall === 'connect' || syscall === 'getaddrinfo') return true;
  return code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'UND_ERR_CLOSED';
}

/** Throws the error of a call to a service of which no instance is known. */
export function noAddress(route: AnyRoute): never {
  throw new PlatformError(
    'UNAVAILABLE',
    `No instance of the ${route.service} service is known. Start one, or name one with --peer ${route.service}=http://host:port`,
    { details: { service: route.service } },
  );
}

function buildRequest(
  base: URL,
  { options, route, input, span }: Attempt,
  leftMs: number,
): Dispatcher.RequestOptions & { readonly headers: Record<string, string> } {
  const headers: Record<string, string> = {
    ...traceHeaders(span),
    accept: 'application/json',
    'x-request-id': currentRequestId() ?? options.random.id(),
    'x-tandem-timeout-ms': String(Math.max(1, Math.floor(leftMs))),
  };
  const common = { origin: base.origin, path: pathOf(base, route, input), headers };
  if (route.method === 'GET') return { ...common, method: 'GET' };
  const { body } = input;
  if (isRawBody(body)) {
    headers['content-type'] = body.mediaType;
    return {
      ...common,
      method: route.method,
      body: body instanceof BytesBody ? body.bytes : Readable.from(body.chunks),
    };
  }
  headers['content-type'] = 'application/json';
  return { ...common, method: route.method, body: JSON.stringify(body ?? {}) };
}

function pathOf(base: URL, route: AnyRoute, input: RouteInput): string {
  const path = route.path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(String(input.params[name])),
  );
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(input.query)) {
    if (value !== undefined && value !== null)
      query.append(name, typeof value === 'string' ? value : JSON.stringify(value));
  }
  const text = query.toString();
  return `${base.pathname.replace(/\/$/, '')}${path}${text === '' ? '' : `?${text}`}`;
}

function readAnswer({ route, span, options }: Attempt, { status, headers, text }: Answer): Outcome {
  const isJson = /^application\/(problem\+)?json\b/.test(String(headers['content-type'] ?? ''));
  let content: unknown;
  try {
    content = isJson ? (JSON.parse(text) as unknown) : undefined;
  } catch {
    content = undefined;
  }
  const isLeaving = headers[STOPPING_HEADER] === 'yes';
  if (span !== undefined) span.httpStatus = status;
  if (status === 200 && content !== undefined) return { result: content, isLeaving };
  if (options.asUser !== true && isStranger({ status, headers })) {
    const error = strangerError(route, status);
    return { error, retryAfterMs: 0, begun: false, isLeaving, isStrange: true };
  }
  const seconds = Number(headers['retry-after']);
  const retryAfterMs = Number.isFinite(seconds) && seconds > 0 ? seconds * 1_000 : 0;
  const error = fromProblem(content) ?? unknownAnswer(route, status);
  return { error, retryAfterMs, begun: headers[BEGUN_HEADER] !== 'no', isLeaving };
}

/** Errors of whatever stands between us and the service: proxies answer in their own words. */
const STATUS_CODES: Readonly<Record<number, ErrorCode>> = {
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  413: 'BODY_TOO_LARGE',
  429: 'TOO_MANY_REQUESTS',
  502: 'UNAVAILABLE',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
};

function unknownAnswer(route: AnyRoute, status: number): PlatformError {
  return new PlatformError(
    STATUS_CODES[status] ?? 'INTERNAL',
    `The ${route.service} service's address answered ${String(status)} without a problem document`,
    { details: { service: route.service, status } },
  );
}

/** The error of an instance that cannot be reached. */
export function connectionError(route: AnyRoute, error: unknown): PlatformError {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  const reason = typeof code === 'string' ? code : String(message);
  return new PlatformError('UNAVAILABLE', `The ${route.service} service cannot be reached (${reason})`, {
    details: { service: route.service, reason },
    cause: error,
  });
}
