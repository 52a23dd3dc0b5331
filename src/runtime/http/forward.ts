import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { type AnyRoute, PlatformError } from '../../contract/index.ts';
import { deadlineError, type OpenCall } from '../call.ts';
import { PRINCIPAL_HEADER, writePrincipal } from '../auth/forwarded.ts';
import { traceHeaders } from '../trace/headers.ts';
import type { Pick as Picked, PickEnd } from './balancer.ts';
import { collectPlain, isEmpty, isStreamed, linger, readMediaType } from './body.ts';
import {
  CALL_LIMITS,
  connectionError,
  type HttpCaller,
  type HttpCallerOptions,
  noAddress,
  wasNotSent,
} from './client.ts';
import { decodeBody, tooLarge } from './decode.ts';
import { BEGUN_HEADER, STOPPING_HEADER, TRACE_HEADER } from './headers.ts';
import type { HttpLimits } from './limits.ts';
import { isStranger } from './stranger.ts';

/** A body up to this size is read first, so that it can be sent again; in bytes. */
const REPEATABLE_BYTES_MAX = 262_144;

/** An answer up to this size is passed on as a whole; in bytes. */
const WHOLE_BYTES_MAX = 16_384;

/** Headers of a request that the other process needs; credentials and what we say ourselves are not among them. */
const PASSED_HEADERS = [
  'accept',
  'accept-encoding',
  'content-encoding',
  'content-type',
  'user-agent',
] as const;

/** Headers of an answer that speak of one connection, or that we say ourselves. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'x-content-type-options',
  'x-request-id',
  TRACE_HEADER,
  STOPPING_HEADER,
]);

/** A request that is to be passed on. */
export interface Forwarding {
  readonly route: AnyRoute;
  readonly call: OpenCall;
  /** The time that the call had from its beginning, in milliseconds. */
  readonly timeoutMs: number;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** What the answer says besides, as names and values in turn. With `isLast` its connection ends with it. */
  readonly head: (isLast: boolean) => string[];
  readonly limits: HttpLimits;
}

/**
 * Passes a request on to the less loaded of two instances of its service and the answer back, byte by byte, no faster than
 * either side takes it. Resolves when the answer is out. Rejects with a PlatformError when there is none: then nothing was
 * written, unless the answer broke off on its way.
 */
export type Forward = (work: Forwarding) => Promise<void>;

export type ForwardParts = Pick<HttpCaller, 'pools' | 'balancer' | 'arrivals'>;

export function makeForward(parts: ForwardParts, tools: HttpCallerOptions): Forward {
  return async (work) => {
    const { route, call, timeoutMs } = work;
    const { clock, random, authorize } = tools;
    const { arrivals, balancer } = parts;
    const body = await takeBody(work);
    let failedAt: URL | undefined;
    for (let tried = 1; ; tried += 1) {
      const leftMs = call.deadlineMs - clock.monotonic();
      if (leftMs <= 0) throw deadlineError(route.name, timeoutMs);
      const arrived = balancer.pick(route.service, failedAt);
      if (arrived === undefined) await arrivals.wait(route.service, leftMs, call.signal);
      const pick = arrived ?? balancer.pick(route.service) ?? noAddress(route);
      const given = authorize?.(route.service);
      const authorization = typeof given === 'object' ? await given : given;
      const isRepeatable = body.isRepeatable && tried < CALL_LIMITS.attemptsMax;
      const outcome = await new Transfer({ parts, work, pick, body, leftMs, isRepeatable, authorization })
        .done;
      pick.end(outcome.end);
      if (outcome.error === undefined) return;
      if (!outcome.mayRepeat) throw outcome.error;
      failedAt = pick.address;
      // Who was refused before anything began need not wait for another instance.
      if (!outcome.begun && tried === 1 && balancer.hasOther(route.service, failedAt)) continue;
      const grownMs = Math.min(CALL_LIMITS.pauseMsMax, CALL_LIMITS.pauseMs * 2 ** (tried - 1));
      const pauseMs = grownMs * (0.5 + random.float() / 2);
      if (clock.monotonic() + pauseMs >= call.deadlineMs) throw outcome.error;
      await clock.sleep(pauseMs, call.signal);
    }
  };
}

/** Our own headers with those of the answer, which say more of what was asked than ours do: e.g. which build answered. */
function joinHeads(
  own: readonly string[],
  given: Readonly<Record<string, string | string[] | undefined>>,
): string[] {
  const head: string[] = [];
  for (let index = 0; index < own.length; index += 2) {
    const [name = '', value = ''] = [own[index], own[index + 1]];
    if (given[name] === undefined || OWN_HEADERS.has(name)) head.push(name, value);
  }
  for (const name in given) {
    if (OWN_HEADERS.has(name)) continue;
    const value = given[name];
    if (typeof value === 'string') head.push(name, value);
    else for (const each of value ?? []) head.push(name, each);
  }
  return head;
}

interface Body {
  readonly content: Buffer | Readable | null;
  /** Size in bytes, where it is known. */
  readonly length: number | undefined;
  readonly isRepeatable: boolean;
}

/** A small body as bytes, which can be sent again, a large one or one without a size as a stream within its limit. */
async function takeBody({ request, route, limits }: Forwarding): Promise<Body> {
  if (route.method === 'GET' || isEmpty(request)) return { content: null, length: 0, isRepeatable: true };
  const streams = isStreamed(readMediaType(request.headers['content-type']));
  const bytesMax = streams ? Number.POSITIVE_INFINITY : route.bodyBytesMax;
  const given = request.headers['content-length'];
  const length = given === undefined ? undefined : Number(given);
  if (length !== undefined && length > bytesMax) throw tooLarge(bytesMax);
  if (length !== undefined && length <= REPEATABLE_BYTES_MAX) {
    return { content: await collectPlain(request, length), length, isRepeatable: true };
  }
  const chunks = decodeBody(request, 'identity', { bytesMax, ratioMax: 1, idleMs: limits.bodyMs });
  return { content: Readable.from(chunks, { objectMode: false }), length, isRepeatable: false };
}

interface Outcome {
  /** Why there is no answer; `undefined` when there is one, or a part of one. */
  readonly error?: PlatformError;
  readonly mayRepeat: boolean;
  /** `false` only if it is certain that no handler saw the request. */
  readonly begun: boolean;
  readonly end: PickEnd;
}

interface TransferParts {
  readonly parts: ForwardParts;
  readonly work: Forwarding;
  readonly pick: Picked;
  readonly body: Body;
  readonly leftMs: number;
  /** Who we are; without it the other side asks nobody. */
  readonly authorization: string | undefined;
  /** Whether the request can be sent once more. */
  readonly isRepeatable: boolean;
}

/** One try to pass a request on. */
class Transfer implements Dispatcher.DispatchHandler {
  readonly done: Promise<Outcome>;
  readonly #parts: TransferParts;
  readonly #resolve: (outcome: Outcome) => void;
  readonly #timer: NodeJS.Timeout;
  #controller: Dispatcher.DispatchController | undefined;
  #isSettled = false;
  /** The answer is one that is not passed on. */
  #refusal: { readonly mayRepeat: boolean } | undefined;
  /** A small answer, until all of it is there: it then leaves in one write. */
  #whole: { readonly status: number; readonly head: string[]; body: string } | undefined;
  #begun = true;
  /** How the instance answers, as far as it has. */
  #end: PickEnd = 'answered';

  constructor(parts: TransferParts) {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    this.#parts = parts;
    this.done = promise;
    this.#resolve = resolve;
    this.#timer = setTimeout(this.#expire, Math.ceil(parts.leftMs));
    const { work, pick, body } = parts;
    work.response.once('close', this.#clientGone);
    const { address } = pick;
    const prefix = address.pathname === '/' ? '' : address.pathname.replace(/\/$/, '');
    parts.parts.pools.to(address.origin).dispatch(
      {
        origin: address.origin,
        path: `${prefix}${work.request.url ?? '/'}`,
        method: work.route.method,
        headers: this.#headers(),
        body: body.content,
      },
      this,
    );
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#isSettled) controller.abort(new Error('The call is over'));
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    statusCode: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    if (statusCode < 200) return;
    const { work } = this.#parts;
    this.#begun = headers[BEGUN_HEADER] !== 'no';
    if (headers[STOPPING_HEADER] === 'yes') this.#end = 'leaving';
    else if (statusCode === 503 || statusCode === 504) this.#end = 'failed';
    // A 401 means us, not the client, whom we have let in.
    const isStrange = isStranger({ status: statusCode, headers });
    if (isStrange) {
      this.#begun = false;
      this.#end = 'strange';
    }
    if (isStrange || (statusCode === 503 && this.#mayRepeat(work.route.idempotent || !this.#begun))) {
      this.#refusal = { mayRepeat: !isStrange || this.#mayRepeat(true) };
      return;
    }
    const { response } = work;
    const head = joinHeads(work.head(!work.request.complete), headers);
    const length = Number(headers['content-length'] ?? Number.NaN);
    if (length <= WHOLE_BYTES_MAX) {
      this.#whole = { status: statusCode, head, body: '' };
      return;
    }
    response.on('drain', () => controller.resume());
    response.writeHead(statusCode, head);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#refusal !== undefined || this.#isSettled) return;
    if (this.#whole !== undefined) {
      this.#whole.body += chunk.toString('latin1');
      return;
    }
    if (!this.#parts.work.response.write(chunk)) controller.pause();
  }

  onResponseEnd(): void {
    if (this.#isSettled) return;
    const { response, request, route } = this.#parts.work;
    if (this.#refusal !== undefined) {
      const error = new PlatformError('UNAVAILABLE', `The ${route.service} service is not available`);
      const { mayRepeat } = this.#refusal;
      return this.#settle({ error, mayRepeat, begun: this.#begun, end: this.#end });
    }
    if (this.#whole !== undefined) {
      const { status, head, body } = this.#whole;
      response.writeHead(status, head);
      if (request.complete) response.end(body, 'latin1');
      else response.write(body, 'latin1');
    } else if (request.complete) response.end();
    // What the client still sends is read on for a while: it would lose the answer to a reset.
    if (!request.complete) void linger(request).then(() => response.end());
    this.#settle({ mayRepeat: false, begun: true, end: this.#end });
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, thrown: Error): void {
    const { work } = this.#parts;
    // The body of the client can be what failed: too large, or cut off.
    if (PlatformError.is(thrown)) {
      return this.#settle({ error: thrown, mayRepeat: false, begun: true, end: 'answered' });
    }
    const error = connectionError(work.route, thrown);
    const begun = !wasNotSent(thrown);
    const mayRepeat =
      !work.response.headersSent && !this.#isSettled && this.#mayRepeat(work.route.idempotent || !begun);
    this.#settle({ error, mayRepeat, begun, end: 'failed' });
  }

  readonly #expire = (): void => {
    const { work } = this.#parts;
    this.#abandon({
      error: deadlineError(work.route.name, work.timeoutMs),
      mayRepeat: false,
      begun: true,
      end: 'failed',
    });
  };

  readonly #clientGone = (): void => {
    if (this.#parts.work.response.writableFinished) return;
    this.#abandon({ mayRepeat: false, begun: true, end: 'answered' });
  };

  #abandon(outcome: Outcome): void {
    if (this.#isSettled) return;
    this.#settle(outcome);
    this.#controller?.abort(new Error('Nobody waits for the answer any more'));
  }

  #mayRepeat(isHarmless: boolean): boolean {
    const { isRepeatable, parts, work } = this.#parts;
    return isHarmless && isRepeatable && parts.balancer.mayRetry(work.route.service);
  }

  #settle(outcome: Outcome): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    clearTimeout(this.#timer);
    this.#parts.work.response.off('close', this.#clientGone);
    this.#resolve(outcome);
  }

  #headers(): Record<string, string> {
    const { work, body, leftMs, authorization } = this.#parts;
    const headers: Record<string, string> = {
      ...traceHeaders(work.call.span),
      'x-request-id': work.call.requestId,
      'x-tandem-timeout-ms': String(Math.max(1, Math.floor(leftMs))),
    };
    if (authorization !== undefined) {
      headers['authorization'] = authorization;
      headers[PRINCIPAL_HEADER] = writePrincipal(work.call.principal);
    }
    for (const name of PASSED_HEADERS) {
      const value = work.request.headers[name];
      if (typeof value === 'string') headers[name] = value;
    }
    if (body.length !== undefined && body.content instanceof Readable) {
      headers['content-length'] = String(body.length);
    }
    return headers;
  }
}
