import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import type { AnyRoute, InputOf, ResultOf, ServiceName } from '../../../src/contract/index.ts';
import { BEGUN_HEADER } from '../../../src/runtime/http/headers.ts';
import type { Target } from './target.ts';

/** Pauses between two tries of a client, in milliseconds: doubled from the first to the longest. */
const PAUSE_MS = { first: 20, most: 500 } as const;
/** How long one try may take unless told otherwise, in milliseconds: a stopped process answers nothing. */
export const TRY_MS = 2_000;
/** What a client waits beyond the deadline that it asks for, in milliseconds: an honest refusal may come then. */
const SLACK_MS = 250;
/** How long an idle connection is kept, in milliseconds. */
const KEEP_ALIVE_MS = 4_000;
/** Statuses that a service may honestly answer with while something is away or too busy. */
const HONEST_STATUSES: ReadonlySet<number> = new Set([429, 503, 504, 507]);

/** Statuses of a service that has no such route. */
const ABSENT_STATUSES: ReadonlySet<number> = new Set([404, 405]);

/**
 * How long an address that nobody listens at is not asked again, in milliseconds, by any of a client's requests. A refused
 * connection costs more CPU than a decision does, and a thousand requests that wait would each look for themselves.
 */
const ABSENT_MS = 100;

/** How one try ended. */
export type Outcome =
  | { readonly kind: 'answered'; readonly body: unknown }
  /** An answer that asks to come again: nothing was acknowledged. */
  | {
      readonly kind: 'refused';
      readonly status: number;
      readonly code: string;
      readonly retryAfterMs: number;
    }
  /** No answer: it may have been carried out or not. */
  | { readonly kind: 'unknown'; readonly reason: string }
  /** An answer that no client should get. */
  | { readonly kind: 'wrong'; readonly status: number; readonly text: string };

export interface Sent {
  readonly service: ServiceName;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: string;
  /** Default `application/json`. */
  readonly mediaType?: string;
}

/** Sends requests as a careful client would: to one address after the other, again when asked to. */
export class Requests implements AsyncDisposable {
  readonly #target: Target;
  readonly #agent = new Agent({ connections: 256, pipelining: 1, keepAliveTimeout: KEEP_ALIVE_MS });
  /** When an address may be asked again, by `performance.now()`, after nobody listened there. */
  readonly #absentUntil = new Map<string, number>();
  #turn = 0;

  constructor(target: Target) {
    this.#target = target;
  }

  /** One try at one address, another one than `avoid` if there is one. */
  async once(sent: Sent, timeoutMs: number, avoid?: string): Promise<Outcome & { readonly at: string }> {
    const { service, method, path, body, mediaType = 'application/json' } = sent;
    const now = performance.now();
    const all = this.#target
      .addresses(service)
      .filter((address) => (this.#absentUntil.get(address) ?? -Infinity) <= now);
    const others = all.filter((address) => address !== avoid);
    const choice = others.length > 0 ? others : all;
    this.#turn += 1;
    const at = choice[this.#turn % Math.max(choice.length, 1)];
    if (at === undefined) return { kind: 'unknown', reason: 'no address', at: '' };
    try {
      const answer = await request(`${at}${path}`, {
        method,
        dispatcher: this.#agent,
        headers: {
          ...this.#target.headers(service),
          'x-tandem-timeout-ms': String(Math.max(1, Math.floor(timeoutMs))),
          ...(body === undefined ? {} : { 'content-type': mediaType }),
        },
        ...(body === undefined ? {} : { body }),
        signal: AbortSignal.timeout(Math.max(1, Math.ceil(timeoutMs)) + SLACK_MS),
      });
      const text = await answer.body.text();
      // A process that died may have left its port to another service, which says that it began nothing.
      if (answer.headers[BEGUN_HEADER] === 'no' && ABSENT_STATUSES.has(answer.statusCode)) {
        return { kind: 'unknown', reason: `${String(answer.statusCode)} of a stranger`, at };
      }
      return { ...judge(answer.statusCode, text, answer.headers['retry-after']), at };
    } catch (error) {
      const { code, name } = error as { readonly code?: string; readonly name?: string };
      if (code === 'ECONNREFUSED') this.#absentUntil.set(at, performance.now() + ABSENT_MS);
      return { kind: 'unknown', reason: code ?? name ?? 'unknown', at };
    }
  }

  /**
   * Tries until there is an answer or the deadline, by `performance.now()`, has passed; `tried` is told of each
   * try. Resolves with the last outcome.
   */
  async until(
    sent: Sent,
    deadline: number,
    tried: (outcome: Outcome) => void,
    tryMs: number = TRY_MS,
  ): Promise<Outcome> {
    let pauseMs: number = PAUSE_MS.first;
    let avoid: string | undefined;
    const refused = new Set<string>();
    for (;;) {
      const leftMs = deadline - performance.now();
      const outcome = await this.once(sent, Math.min(Math.max(leftMs, 1), tryMs), avoid);
      tried(outcome);
      if (outcome.kind === 'answered' || outcome.kind === 'wrong') return outcome;
      avoid = outcome.at;
      // `Retry-After` counts whole seconds, the shortest being one: it is waited for once each address that there is
      // has asked for it, as the platform's own client does.
      let waitMs = pauseMs;
      if (outcome.kind === 'refused') {
        refused.add(outcome.at);
        if (this.#target.addresses(sent.service).every((address) => refused.has(address))) {
          waitMs = Math.max(pauseMs, outcome.retryAfterMs);
          refused.clear();
        }
      }
      if (performance.now() + waitMs >= deadline) return outcome;
      await sleep(waitMs);
      pauseMs = Math.min(2 * pauseMs, PAUSE_MS.most);
    }
  }

  /**
   * Calls a route as often as it takes: a refusal is honoured, with its Retry-After, until `patienceMs` and as much
   * time as one try may take are over. Throws on anything that is no success.
   */
  async call<TRoute extends AnyRoute>(
    route: TRoute,
    input: Partial<InputOf<TRoute>>,
    patienceMs = 60_000,
  ): Promise<ResultOf<TRoute>> {
    const given = input as {
      params?: Record<string, unknown>;
      query?: Record<string, string>;
      body?: unknown;
    };
    const path = route.path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
      encodeURIComponent(String(given.params?.[name])),
    );
    const query = new URLSearchParams(given.query ?? {}).toString();
    const sent: Sent = {
      service: route.service,
      method: route.method,
      path: query === '' ? path : `${path}?${query}`,
      ...(route.method === 'GET' ? {} : { body: JSON.stringify(given.body ?? {}) }),
    };
    const tryMs = Math.max(TRY_MS, route.timeoutMs);
    // One try that waits for all of its time must not have used up the patience with a refusal at its end.
    const deadline = performance.now() + patienceMs + tryMs;
    const outcome = await this.until(sent, deadline, () => undefined, tryMs);
    if (outcome.kind === 'answered') return outcome.body as ResultOf<TRoute>;
    throw new Error(`${route.name}: ${JSON.stringify(outcome).slice(0, 500)}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }
}

function judge(status: number, text: string, retryAfter: string | string[] | undefined): Outcome {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return { kind: 'wrong', status, text: text.slice(0, 300) };
  }
  if (status >= 200 && status < 300) return { kind: 'answered', body };
  if (!HONEST_STATUSES.has(status)) return { kind: 'wrong', status, text: text.slice(0, 300) };
  const seconds = Number(retryAfter);
  const { code } = body as { readonly code?: unknown };
  return {
    kind: 'refused',
    status,
    code: typeof code === 'string' ? code : 'NONE',
    retryAfterMs: Number.isFinite(seconds) ? seconds * 1_000 : 0,
  };
}
