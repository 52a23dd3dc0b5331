import type { ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Server as TlsServer } from 'node:tls';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import {
  type AnyRoute,
  type Caste,
  mayCall,
  PlatformError,
  type Principal,
  type ServiceName,
} from '../../contract/index.ts';
import { PRINCIPAL_HEADER } from '../auth/forwarded.ts';
import type { Gate } from '../auth/index.ts';
import { deadlineError, OpenCall, withScope } from '../call.ts';
import type { MetricsRegistry } from '../metrics.ts';
import type { Clock, Random } from '../ports/index.ts';
import type { HandlerEntry, Logger, Readiness, RunningService } from '../service.ts';
import { getTrace, listTraces, TRACE_ROUTES } from '../trace/routes.ts';
import type { Span } from '../trace/span.ts';
import type { Tracer } from '../trace/tracer.ts';
import { problemAnswer, rawAnswer, resultAnswer, send, toPlatformError, type WholeAnswer } from './answer.ts';
import { linger, readBody, slowBody, takesRawBody } from './body.ts';
import { Connections } from './connections.ts';
import type { Forward } from './forward.ts';
import { makeGuard, refuseOpenAddress } from './guard.ts';
import { BEGUN_HEADER, STOPPING_HEADER, TRACE_HEADER } from './headers.ts';
import type { HttpLimits } from './limits.ts';
import { type HttpObserver, httpObserver } from './observe.ts';
import {
  DETAIL_ROLES,
  openApiDocument,
  type OpenApiInfo,
  OPERATIONAL_ROUTES,
  type OperationalRoute,
} from './openapi.ts';
import { secureContext, type TlsIdentity } from './tls.ts';
import { type RouteReaders, routeReaders } from './validate.ts';

export interface HttpOptions {
  /** A loopback address, unless everybody is asked for credentials. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly limits: HttpLimits;
  /** Says who makes a request. */
  readonly gate: Gate;
  /** Certificate and key; without, the server speaks plain HTTP. */
  readonly tls?: TlsIdentity | undefined;
  /** Passes requests on to other processes, for services that do so. */
  readonly forward?: Forward;
  readonly info: OpenApiInfo;
  /** What every answer says it comes from. Default: nothing. */
  readonly build?: { readonly id: string; readonly contract: () => Promise<string> };
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  /** Measures requests, and shows what it keeps. */
  readonly tracer?: Tracer | undefined;
}

export interface HttpServer {
  readonly url: URL;
  /** Every route that the server answers, as `GET /v1/...`, those of the server itself included. */
  readonly routes: readonly string[];
  /**
   * Says that it leaves (`/readyz` is 503, answers end their connections) but goes on answering, for `drainMs`
   * or until no request has come for a while.
   */
  drain(drainMs: number): Promise<void>;
  /** Begins no new request, answers what has come within `graceMs`, then closes every connection. */
  stop(graceMs: number): Promise<void>;
  /** Shows another certificate to connections to come. */
  readonly renewTls: (identity: TlsIdentity) => void;
}

/** Requests wait this long for their route's turn in the kernel before connections are refused. */
const BACKLOG = 1_024;
/** Characters of a path parameter. */
const PARAMETER_CHARACTERS_MAX = 512;
/** How often the time of arriving requests is looked at, in milliseconds. */
const TIMEOUT_CHECK_MS = 2_000;
const METHODS_WITH_BODY = ['POST', 'PUT', 'PATCH', 'DELETE', 'QUERY'] as const;
/** A server that leaves and gets no request for so long, in milliseconds, is known by all to leave. */
const DRAIN_QUIET_MS = 500;
/** How often a server that stops looks whether it is done, in milliseconds. */
const STOP_LOOK_MS = 10;
/** What the books show for a client that left before its answer. */
const CLIENT_GONE = 499;

/** What the server keeps beside the library's own state. */
interface Server {
  readonly app: FastifyInstance;
  readonly services: ReadonlyMap<ServiceName, RunningService>;
  readonly options: HttpOptions;
  readonly observer: HttpObserver;
  readonly connections: Connections;
  /** Requests to services that were let in and are not answered yet. */
  open: number;
  /** When the last of them came, by the monotonic clock. */
  lastMs: number;
  /** It leaves, but still answers. */
  leaving: boolean;
  /** It begins nothing any more. */
  stopping: boolean;
}

/** What the server knows of a request besides, from its first hook to its answer. */
interface Visit {
  /** Headers of its answer, as names and values in turn. */
  readonly head: string[];
  readonly call: OpenCall | undefined;
  principal: Principal | undefined;
}

const VISIT = Symbol('visit');
type Request = FastifyRequest & { [VISIT]?: Visit };

/** What the router found: a route of the contract, or one of the server itself. */
interface Found {
  readonly route?: AnyRoute;
  readonly operation?: OperationalRoute;
}

/**
 * Serves the handlers of the services on one port. Rejects with CONFIGURATION when it may not or cannot
 * listen there.
 */
export async function mountHttp(
  services: ReadonlyMap<ServiceName, RunningService>,
  options: HttpOptions,
): Promise<HttpServer> {
  refuseOpenAddress(options.host, {
    isGuarded: !options.gate.isOpen,
    isPrivate: options.tls !== undefined || options.limits.insecureHttp,
  });
  const app = createApp(options);
  const server: Server = {
    app,
    services,
    options,
    observer: httpObserver(options.metrics),
    connections: new Connections(app.server),
    open: 0,
    lastMs: 0,
    leaving: false,
    stopping: false,
  };
  const routes: string[] = [];
  app.addHook('onRoute', ({ method, url }) => {
    if (method !== 'HEAD') routes.push(`${String(method)} ${url.replaceAll(/:(\w+)/g, '{$1}')}`);
  });
  const entries = [...services.values()].flatMap((service) => service.handlers);
  app.decorateRequest(VISIT, undefined);
  app.addHook('onRequest', admit(server));
  app.setErrorHandler((error, request, { raw }) => fail(server, request, raw, error));
  app.setNotFoundHandler((request: Request, { raw }) => {
    // Whoever called took this server for another one: a call that is not idempotent may be sent to the right one.
    request[VISIT]?.head.push(BEGUN_HEADER, 'no');
    fail(server, request, raw, noRoute(request, entries));
  });
  for (const entry of entries) mountEntry(server, entry);
  const forwards = forwardedRoutes(services, entries);
  for (const route of forwards) mountForward(server, route);
  mountOperations(server, [...entries.map(({ route }) => route), ...forwards]);
  const url = await listen(app, options);
  return {
    url,
    routes,
    drain: (drainMs) => drain(server, drainMs),
    stop: (graceMs) => stop(server, graceMs),
    renewTls: (identity) =>
      (app.server as unknown as Partial<TlsServer>).setSecureContext?.(secureContext(identity)),
  };
}

function createApp({ limits, random, gate, tls }: HttpOptions): FastifyInstance {
  const connection = {
    maxHeaderSize: limits.headerBytesMax,
    headersTimeout: limits.headerMs,
    connectionsCheckingInterval: TIMEOUT_CHECK_MS,
  };
  const app = fastify({
    logger: false,
    keepAliveTimeout: limits.keepAliveMs,
    // A request must have arrived when the longest time that a caller may ask for is over.
    requestTimeout: limits.timeoutMsMax,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    genReqId: (raw) => requestId(raw.headers['x-request-id'], random),
    clientErrorHandler,
    trustProxy: limits.trustedProxies.length === 0 ? false : [...limits.trustedProxies],
    frameworkErrors: (error, request, reply) =>
      void refuseMalformed(gate, toPlatformError(error), { request, response: reply.raw as ServerResponse }),
    // The library has a type of its own for each kind of server; what we use of them is the same.
    ...((tls === undefined ? { http: connection } : { https: { ...connection, ...secureContext(tls) } }) as {
      readonly http: typeof connection;
    }),
    // What comes and goes is checked by the contract's own schemas: the library's compilers, which take 0.1 s to load at
    // each start, would check nothing.
    schemaController: { compilersFactory: { buildValidator: noCompiler, buildSerializer: noCompiler } },
    routerOptions: {
      maxParamLength: PARAMETER_CHARACTERS_MAX,
      ignoreTrailingSlash: false,
      caseSensitive: true,
    },
  });
  // Bodies are read by the handler: within the call's deadline, with the route's own limit, as bytes or as
  // JSON.
  for (const method of METHODS_WITH_BODY)
    app.addHttpMethod(method, { hasBody: false, overrideExisting: true });
  app.server.maxConnections = limits.connectionsMax;
  // The size of all headers is the limit. A limit on their number would drop the last ones unseen.
  app.server.maxHeadersCount = 0;
  return app;
}

/** Stands for a compiler of schemas, of which the library is given none. */
function noCompiler(): never {
  throw new TypeError('No route here has a schema of the HTTP library');
}

/** What no router could read, e.g. a broken escape in its path, is refused like everything else: strangers first. */
async function refuseMalformed(
  gate: Gate,
  error: PlatformError,
  { request, response }: { readonly request: FastifyRequest; readonly response: ServerResponse },
): Promise<void> {
  let answer = error;
  try {
    await gate.enter({ headers: request.raw.headers, address: () => request.ip });
  } catch (refusal) {
    answer = toPlatformError(refusal);
  }
  send(response, [], problemAnswer(answer, request.id));
}

function requestId(given: string | string[] | undefined, random: Random): string {
  return typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given) ? given : random.id();
}

function clientErrorHandler(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  socket.end(rawAnswer(error.code));
}

function foundBy(request: FastifyRequest): Found {
  return request.is404 ? {} : (request.routeOptions.config as Found);
}

/** The first hook of every request: who may ask, how many at a time, and the books. */
function admit(server: Server) {
  const { options, observer } = server;
  const { clock, limits, tracer } = options;
  const guard = makeGuard({ hostNames: limits.hostNames, origins: limits.origins });
  return (request: Request, reply: FastifyReply, done: (error?: Error) => void): void => {
    const start = clock.monotonic();
    const found = foundBy(request);
    const { route } = found;
    const call =
      route === undefined ? undefined : new OpenCall(request.id, start + timeoutOf(route, request, limits));
    const head: string[] = [];
    const visit: Visit = { head, call, principal: undefined };
    request[VISIT] = visit;
    let span: Span | undefined;
    if (route !== undefined && call !== undefined) {
      span = call.span = tracer?.server(route, request.raw.headers);
    }
    if (options.build !== undefined) head.push('x-tandem-build', options.build.id);
    const { socket } = request.raw;
    let isOpen = false;
    observer.begin();
    server.connections.begin(socket);
    reply.raw.once('close', () => {
      server.connections.end(socket);
      if (isOpen) server.open -= 1;
      const isDone = reply.raw.writableFinished;
      const name = route?.name ?? (request.is404 ? 'none' : request.routeOptions.url) ?? 'none';
      const status = isDone ? reply.raw.statusCode : CLIENT_GONE;
      observer.end(name, status, (clock.monotonic() - start) / 1_000);
      if (span !== undefined) {
        span.httpStatus = status;
        // The conventions blame a server for 5xx only.
        if (status >= 500) span.fail(span.error ?? String(status));
        tracer?.end(span);
      }
      if (!isDone) call?.abort(new PlatformError('DEADLINE_EXCEEDED', 'The caller went away'));
    });
    const { host, origin, 'sec-fetch-site': fetchSite } = request.raw.headers;
    const letIn = (who: Principal | undefined): void => {
      visit.principal = who;
      if (who !== undefined && call !== undefined) call.principal = who;
      refuseStrangers(server, found, request, visit);
      if (route === undefined) return;
      refuseExcess(server, visit);
      isOpen = true;
      server.open += 1;
      server.lastMs = start;
    };
    const waitFor = async (who: Promise<Principal>): Promise<void> => {
      let refusal: Error | undefined;
      try {
        letIn(await who);
      } catch (error) {
        refusal = error as Error;
      }
      done(refusal);
    };
    try {
      guard({ method: request.raw.method, host, origin, fetchSite: fetchSite as string | undefined });
      const who = identify(server, found, request);
      if (who instanceof Promise) return void waitFor(who);
      letIn(who);
    } catch (error) {
      return done(error as Error);
    }
    done();
  };
}

/** Who makes a request; `undefined` where nobody is asked. */
function identify(
  { options }: Server,
  { operation }: Found,
  request: Request,
): Principal | undefined | Promise<Principal> {
  const { headers } = request.raw;
  const isPublic = operation !== undefined && operation.roles === undefined;
  if (isPublic && headers.authorization === undefined && !options.gate.isOpen) return undefined;
  return options.gate.enter({ headers, address: () => request.ip });
}

/** Refuses what the principal may not do, and more than he has coming. */
function refuseStrangers(
  server: Server,
  { route, operation }: Found,
  request: Request,
  { principal: who, head }: Visit,
): void {
  const isPublic = operation !== undefined && operation.roles === undefined;
  if (!isPublic && !request.is404) refuseForbidden(who, route?.roles ?? operation?.roles);
  if (route === undefined || who === undefined) return;
  if (server.options.gate.isOpen || who.roles.includes('service')) return;
  for (const { admit: ask } of server.services.values()) {
    const admission = ask?.(who);
    if (admission === undefined) continue;
    for (const [name, value] of Object.entries(admission.headers)) head.push(name, value);
    if (admission.refusal !== undefined) throw admission.refusal;
  }
}

function refuseForbidden(who: Principal | undefined, roles: readonly Caste[] | undefined): void {
  if (who !== undefined && mayCall(who, roles)) return;
  const expected = [...new Set([...(roles ?? []).filter((role) => role !== 'service'), 'admin'])];
  throw new PlatformError(
    'PERMISSION_DENIED',
    `role: expected ${roles === undefined ? 'a route that says who may call it' : expected.join(' or ')}, ` +
      `got ${who?.roles.join(', ') ?? 'none'}`,
    { details: { expected, got: who?.roles ?? [] } },
  );
}

function refuseExcess({ observer, options, stopping }: Server, { head }: Visit): void {
  const { requestsMax } = options.limits;
  if (!stopping && observer.inFlight <= requestsMax) return;
  // Nothing was begun, so that whatever it was may be sent again.
  head.push(BEGUN_HEADER, 'no');
  if (stopping) throw new PlatformError('UNAVAILABLE', 'This server is stopping; ask another one');
  throw new PlatformError('OVERLOADED', `The server answers ${String(requestsMax)} requests already`, {
    details: { requestsMax },
  });
}

function timeoutOf(route: AnyRoute, request: FastifyRequest, limits: HttpLimits): number {
  const given = request.raw.headers['x-tandem-timeout-ms'];
  if (typeof given !== 'string' || !/^\d{1,9}$/.test(given)) return route.timeoutMs;
  return Math.min(Number(given), limits.timeoutMsMax);
}

function mountEntry(server: Server, entry: HandlerEntry): void {
  const { route } = entry;
  const readers = routeReaders(entry, takesRawBody(route));
  server.app.route({
    method: route.method,
    url: route.path.replaceAll(/\{(\w+)\}/g, ':$1'),
    config: { route },
    handler: (request: Request, { raw: response }) => {
      const call = request[VISIT]?.call;
      if (call === undefined) throw new TypeError('The request was not admitted');
      run(server, { entry, readers, call, request, response });
    },
  });
}

/** What is passed on, but for what this very server answers itself. */
function forwardedRoutes(
  services: ReadonlyMap<ServiceName, RunningService>,
  entries: readonly HandlerEntry[],
): AnyRoute[] {
  const own = new Set(entries.map(({ route }) => route.name));
  return [...services.values()]
    .flatMap(({ forwards = [] }) => forwards)
    .filter((route) => !own.has(route.name));
}

function mountForward(server: Server, route: AnyRoute): void {
  const { forward, limits } = server.options;
  if (forward === undefined) throw new TypeError(`Nothing here can pass ${route.name} on`);
  server.app.route({
    method: route.method,
    url: route.path.replaceAll(/\{(\w+)\}/g, ':$1'),
    config: { route },
    handler: (request: Request, { raw: response }) => {
      const call = request[VISIT]?.call;
      if (call === undefined) throw new TypeError('The request was not admitted');
      const timeoutMs = timeoutOf(route, request, limits);
      const head = (isLast: boolean): string[] => headOf(server, request, response, isLast);
      forward({ route, call, timeoutMs, request: request.raw, response, head, limits }).catch(
        (error: unknown) => fail(server, request, response, error),
      );
    },
  });
}

interface Work {
  readonly entry: HandlerEntry;
  readonly readers: RouteReaders;
  readonly call: OpenCall;
  readonly request: Request;
  readonly response: ServerResponse;
}

/** Answers a request: with what its handler gives, or when its time is over. */
function run(server: Server, work: Work): void {
  const { entry, call, request, response } = work;
  const { clock, limits } = server.options;
  let isOpen = true;
  const settle = (error: unknown, result?: unknown): void => {
    if (!isOpen) return;
    isOpen = false;
    clearTimeout(timer);
    if (error === undefined) answer(server, request, response, resultAnswer(result));
    else fail(server, request, response, error);
  };
  const expire = (): void => {
    const leftMs = call.deadlineMs - clock.monotonic();
    if (leftMs > 0 && (request.raw.complete || takesRawBody(entry.route))) {
      timer = setTimeout(expire, Math.ceil(leftMs));
      return;
    }
    const error =
      leftMs > 0
        ? slowBody(limits.bodyMs)
        : deadlineError(entry.route.name, timeoutOf(entry.route, request, limits));
    call.abort(error);
    settle(error);
  };
  // One timer for both waits: for the body, and after it for the handler.
  let timer = setTimeout(expire, Math.min(limits.bodyMs, Math.ceil(call.deadlineMs - clock.monotonic())));
  perform(server, work).then((result) => settle(undefined, result), settle);
}

async function perform(server: Server, { entry, readers, call, request }: Work): Promise<unknown> {
  const { limits, clock } = server.options;
  const params = readers.params(request.params);
  const query = readers.query(request.query);
  const body =
    entry.route.method === 'GET' ? {} : readers.body(await readBody(request.raw, entry.route, limits));
  // Work whose time is over before it begins is never begun.
  if (call.deadlineMs <= clock.monotonic())
    throw deadlineError(entry.route.name, timeoutOf(entry.route, request, limits));
  const result = await withScope(call, () => entry.handle({ params, query, body }, call));
  return readers.result(result);
}

/** Headers of the answer to a request. With `isLast`, or when the server leaves, its connection ends with it. */
function headOf({ leaving }: Server, request: Request, response: ServerResponse, isLast: boolean): string[] {
  const { head = [], call, principal } = request[VISIT] ?? {};
  const all = [...head];
  if (principal?.roles.includes('service') === true || request.raw.headers[PRINCIPAL_HEADER] !== undefined) {
    // Another service knows the request, and when it was answered; each header costs it a microsecond of CPU to read.
    response.removeHeader('date');
    response.removeHeader('connection');
  } else {
    all.push('x-request-id', request.id, 'x-content-type-options', 'nosniff');
    if (call?.span !== undefined) all.push(TRACE_HEADER, call.span.traceId);
  }
  if (leaving || isLast) all.push('connection', 'close');
  // The caller turns to another instance.
  if (leaving) all.push(STOPPING_HEADER, 'yes');
  return all;
}

function answer(server: Server, request: Request, response: ServerResponse, whole: WholeAnswer): void {
  send(response, headOf(server, request, response, false), whole);
}

/** Answers with an error, after reading what is left of the body as far as that is cheap. */
function fail(server: Server, request: Request, response: ServerResponse, thrown: unknown): void {
  const error = toPlatformError(thrown);
  noteFailure(request, error);
  if (error.code === 'INTERNAL') logFailure(server, request, error);
  const problem = problemAnswer(error, request.id);
  if (response.headersSent || request.raw.complete) return answer(server, request, response, problem);
  void linger(request.raw).then((isComplete) =>
    send(response, headOf(server, request, response, !isComplete), problem),
  );
}

function noteFailure(request: Request, error: PlatformError): void {
  const span = request[VISIT]?.call?.span;
  if (span !== undefined) span.error = error.code;
}

function logFailure({ options }: Server, request: Request, error: PlatformError): void {
  const route = request.is404 ? 'none' : (request.routeOptions.url ?? 'none');
  withScope({ requestId: request.id, span: request[VISIT]?.call?.span }, () =>
    options.logger.error('A request failed unexpectedly', { route, error: error.cause ?? error }),
  );
}

function noRoute(request: FastifyRequest, entries: readonly HandlerEntry[]): PlatformError {
  const path = request.raw.url?.split('?', 1)[0] ?? '/';
  const known = [
    ...entries.map(({ route }) => route),
    ...OPERATIONAL_ROUTES.map((route) => ({ ...route, method: 'GET' })),
  ];
  const methods = known.filter((route) => pathPattern(route.path).test(path)).map(({ method }) => method);
  if (methods.length === 0) {
    return new PlatformError('ROUTE_NOT_FOUND', `There is no route ${clip(path)}; /openapi.json lists them`);
  }
  return new PlatformError(
    'METHOD_NOT_ALLOWED',
    `method: expected ${methods.join(' or ')}, got ${request.raw.method ?? 'none'}`,
    { details: { allow: methods } },
  );
}

function pathPattern(path: string): RegExp {
  return new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`);
}

function clip(text: string): string {
  return text.length <= 200 ? text : `${text.slice(0, 200)}...`;
}

function mountOperations(server: Server, routes: readonly AnyRoute[]): void {
  const { app, options } = server;
  let document: string | undefined;
  const { build } = options;
  const life = { alive: true, ...(build === undefined ? {} : { build: build.id }) };
  const json = (path: string, result: (request: FastifyRequest) => unknown): void =>
    void app.get(path.replace('{traceId}', ':traceId'), operationAt(path), (request, { raw }) =>
      answer(server, request, raw, resultAnswer(result(request))),
    );
  app.get('/livez', operationAt('/livez'), async (request: Request, reply) => {
    // Whoever looks whether the process lives does not pay for what its build is compatible with.
    const isAsked = build !== undefined && 'contract' in (request.query as object);
    const whole = isAsked ? { ...life, contract: await build.contract() } : life;
    answer(server, request, reply.raw, resultAnswer(whole));
    return reply.hijack();
  });
  app.get('/readyz', operationAt('/readyz'), async (request: Request, reply) => {
    await answerReadiness(server, request, reply.raw);
    return reply.hijack();
  });
  app.get('/metrics', operationAt('/metrics'), async (request, reply) => {
    server.observer.snapshot();
    // Some of them by name, as other exporters have it: whoever looks often need not have all of them written.
    const names = (request.query as { readonly 'name[]'?: string | readonly string[] })['name[]'];
    const body = await options.metrics.text(names === undefined ? undefined : [names].flat());
    answer(server, request, reply.raw, {
      status: 200,
      head: ['content-type', options.metrics.mediaType],
      body,
    });
    return reply.hijack();
  });
  const [list, one] = TRACE_ROUTES;
  json(list.path, ({ query }) => listTraces(options.tracer, query));
  json(one.path, ({ params }) => getTrace(options.tracer, (params as { readonly traceId: string }).traceId));
  app.get('/openapi.json', operationAt('/openapi.json'), (request, { raw }) => {
    document ??= JSON.stringify(openApiDocument(routes, options.info));
    answer(server, request, raw, { ...resultAnswer(null), body: document });
  });
}

function operationAt(path: string): { readonly config: Found } {
  const operation = OPERATIONAL_ROUTES.find((route) => route.path === path);
  if (operation === undefined) throw new TypeError(`${path} is in no list`);
  return { config: { operation } };
}

/** Strangers hear yes or no; which service waits for what is for those who may know. */
async function answerReadiness(server: Server, request: Request, response: ServerResponse): Promise<void> {
  const services = await readiness(server.services, server.options);
  const waiting = Object.entries(services).filter(([, { ready }]) => !ready);
  const who = request[VISIT]?.principal;
  const isStranger = who === undefined || !mayCall(who, DETAIL_ROLES);
  if (!server.leaving && waiting.length === 0) {
    return answer(
      server,
      request,
      response,
      resultAnswer({ ready: true, ...(isStranger ? {} : { services }) }),
    );
  }
  const reasons = waiting.map(([name, { reason }]) => `${name}: ${reason ?? 'not ready'}`).join('; ');
  const text = server.leaving ? 'This server is stopping' : reasons;
  const progress = waiting.reduce((sum, [, { progress: own = 0 }]) => sum + own, 0);
  const error = isStranger
    ? new PlatformError('UNAVAILABLE', 'Not ready', { details: { ready: false, progress } })
    : new PlatformError('UNAVAILABLE', text, server.leaving ? {} : { details: { ready: false, services } });
  answer(server, request, response, problemAnswer(error, request.id));
}

/** Asks every service whether it can do its job now. One that does not answer in time cannot. */
async function readiness(
  services: ReadonlyMap<ServiceName, RunningService>,
  { clock, limits, logger }: HttpOptions,
): Promise<Record<string, Readiness>> {
  const ask = async ([name, service]: [ServiceName, RunningService]): Promise<[string, Readiness]> => {
    const over = new AbortController();
    const late = clock
      .sleep(limits.readyMs, over.signal)
      .then(() => ({ ready: false, reason: `no answer within ${String(limits.readyMs)} ms` }));
    try {
      return [name, await Promise.race([service.ready(), late])];
    } catch (error) {
      logger.warn('A service could not say whether it is ready', { service: name, error });
      return [
        name,
        { ready: false, reason: PlatformError.is(error) ? error.message : 'it failed to answer' },
      ];
    } finally {
      over.abort();
    }
  };
  return Object.fromEntries(await Promise.all([...services].map(ask)));
}

async function listen(app: FastifyInstance, { host, port, limits, tls }: HttpOptions): Promise<URL> {
  // One socket, not one for each address that the name has: the port must be the same everywhere.
  const address = host === 'localhost' ? '127.0.0.1' : host;
  try {
    await app.listen({
      host: address,
      port,
      backlog: BACKLOG,
      ...(limits.reusePort ? { reusePort: true } : {}),
    });
  } catch (error) {
    await app.close();
    const { code } = error as NodeJS.ErrnoException;
    const reason = code === 'EADDRINUSE' ? 'another process listens there' : (code ?? 'unknown reason');
    throw new PlatformError(
      'CONFIGURATION',
      `Cannot listen on ${host}:${String(port)}: ${reason}. Choose another --port.`,
      {
        details: { host, port, reason: code },
        cause: error,
      },
    );
  }
  const bound = app.server.address() as AddressInfo;
  return new URL(
    `${tls === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${String(bound.port)}`,
  );
}

async function drain(server: Server, drainMs: number): Promise<void> {
  const { clock } = server.options;
  const begun = clock.monotonic();
  server.leaving = true;
  const quietMs = (): number => clock.monotonic() - Math.max(begun, server.lastMs);
  while (clock.monotonic() - begun < drainMs && quietMs() < DRAIN_QUIET_MS) {
    await clock.sleep(STOP_LOOK_MS);
  }
}

/**
 * The port is given up last: a connection that was made but not yet taken over would be reset, which leaves its
 * client in doubt whether its request was begun. Until then every request gets an answer that says it was not.
 */
async function stop(server: Server, graceMs: number): Promise<void> {
  const { clock } = server.options;
  server.leaving = true;
  server.stopping = true;
  const end = clock.monotonic() + graceMs;
  while (server.open > 0 && clock.monotonic() < end) await clock.sleep(STOP_LOOK_MS);
  // Again and again: a connection may still come until the port is given up.
  const timer = setInterval(() => {
    if (clock.monotonic() >= end) server.app.server.closeAllConnections();
  }, STOP_LOOK_MS);
  try {
    await server.connections.closeIdle();
    await server.app.close();
  } finally {
    clearInterval(timer);
  }
}
