import { AsyncLocalStorage } from 'node:async_hooks';
import { PlatformError, type Principal } from '../contract/index.ts';
import type { CallContext, RawBody } from './service.ts';
import type { Span } from './trace/span.ts';

const NOBODY: Principal = Object.freeze({ subject: 'nobody', roles: Object.freeze([]) });
/** Another service of the same process. */
export const IN_PROCESS: Principal = Object.freeze({
  subject: 'in-process',
  roles: Object.freeze(['service'] as const),
});

/**
 * One call that is being answered. Its signal is made when somebody asks for it: most handlers never do, and
 * an AbortController costs more than the rest of a small call.
 */
export class OpenCall implements CallContext, Scope {
  readonly requestId: string;
  readonly deadlineMs: number;
  /** What is measured of it. */
  span: Span | undefined = undefined;
  /** Nobody, until somebody was let in. */
  principal: Principal = NOBODY;
  #controller: AbortController | undefined;
  #reason: PlatformError | undefined;

  constructor(requestId: string, deadlineMs: number) {
    this.requestId = requestId;
    this.deadlineMs = deadlineMs;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Tells the handler that nobody waits any more. The first reason stays. */
  abort(reason: PlatformError): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}

/** The error of a call whose time is over. */
export function deadlineError(name: string, timeoutMs: number): PlatformError {
  return new PlatformError(
    'DEADLINE_EXCEEDED',
    `${name} was not done within ${String(Math.round(timeoutMs))} ms`,
    {
      details: { timeoutMs: Math.round(timeoutMs) },
    },
  );
}

/**
 * The error of a call whose caller does not wait any more; the signal's own reason when that is a
 * PlatformError.
 */
export function abortError(name: string, signal: AbortSignal | undefined): PlatformError {
  const reason: unknown = signal?.reason;
  if (PlatformError.is(reason)) return reason;
  return new PlatformError('DEADLINE_EXCEEDED', `${name}: the caller stopped waiting`, { cause: reason });
}

/** What leaves a service instead of an error that is no PlatformError: it says nothing of itself. */
export function internalError(cause: unknown): PlatformError {
  return new PlatformError('INTERNAL', 'An unexpected error happened; quote the request id to the operator', {
    cause,
  });
}

/** What calls to other services and log lines carry on: the request and the span that they belong to. */
export interface Scope {
  readonly requestId?: string | undefined;
  readonly span: Span | undefined;
}

const scopes = new AsyncLocalStorage<Scope>();

/** Runs `work` so that calls to other services, spans and log lines made within belong to `scope`. */
export function withScope<TResult>(scope: Scope, work: () => TResult): TResult {
  return scopes.run(scope, work);
}

/** What is being done, if anything. */
export function currentScope(): Scope | undefined {
  return scopes.getStore();
}

/** The id of the request that is being answered, if any. */
export function currentRequestId(): string | undefined {
  return scopes.getStore()?.requestId;
}

/** A raw body whose bytes are all at hand, so that it can be sent again. */
export class BytesBody implements RawBody {
  readonly mediaType: string;
  readonly bytes: Uint8Array;

  constructor(mediaType: string, bytes: Uint8Array) {
    this.mediaType = mediaType;
    this.bytes = bytes;
  }

  get chunks(): AsyncIterable<Uint8Array> {
    const { bytes } = this;
    return {
      async *[Symbol.asyncIterator]() {
        yield bytes;
      },
    };
  }
}

/** Whether a body is of the kind that routes with a raw body take. */
export function isRawBody(body: unknown): body is RawBody {
  return typeof body === 'object' && body !== null && 'chunks' in body && 'mediaType' in body;
}
