import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * How long a request is repeated while the product cannot be reached or asks to come again, in milliseconds.
 */
const PATIENCE_MS = 180_000;
const BACKOFF_MS_MIN = 20;
const BACKOFF_MS_MAX = 1_000;
const CONNECTIONS_MAX = 64;

/** An answer that is not 2xx: what the problem document says. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  readonly status: number;
  /** A code of the product's table of errors, such as `NO_RELEASE`. */
  readonly code: string;
  /** What Retry-After asks for, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(facts: { status: number; code: string; message: string; retryAfterMs?: number | undefined }) {
    super(facts.message);
    this.status = facts.status;
    this.code = facts.code;
    this.retryAfterMs = facts.retryAfterMs;
  }
}

/** The product could not be reached or went away: whether the request was carried out is unknown. */
export class UnreachableError extends Error {
  override readonly name = 'UnreachableError';
}

export interface Call {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: string;
  /** Default `application/json`. */
  readonly mediaType?: string;
  /** How long one attempt waits for its answer, in milliseconds. Default 30,000. */
  readonly timeoutMs?: number;
}

/** What the client must know of the server: where it is, and when it is there. */
export interface Server {
  readonly url: string;
  up(): Promise<void>;
  /** What it wants to know of who asks, as headers. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Whether the same request may be sent again and can then succeed. */
export function isRepeatable(error: unknown): boolean {
  if (error instanceof UnreachableError) return true;
  return error instanceof ProblemError && [429, 502, 503, 504, 507].includes(error.status);
}

/** JSON over HTTP with connections that are kept. */
export class HttpClient implements Disposable {
  readonly #server: Server;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS_MAX });

  constructor(server: Server) {
    this.#server = server;
  }

  /** One attempt. Rejects with a ProblemError or an UnreachableError. */
  once<TResult>(call: Call): Promise<TResult> {
    const timeoutMs = call.timeoutMs ?? 30_000;
    const body = call.body === undefined ? undefined : Buffer.from(call.body);
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        reject(new UnreachableError(`${call.method} ${call.path}: ${error.message}`, { cause: error }));
      };
      const outgoing = request(
        `${this.#server.url}${call.path}`,
        {
          method: call.method,
          agent: this.#agent,
          timeout: timeoutMs,
          headers: {
            ...this.#server.headers,
            ...(body === undefined
              ? {}
              : { 'content-type': call.mediaType ?? 'application/json', 'content-length': body.length }),
          },
        },
        (incoming) => {
          const chunks: Buffer[] = [];
          incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
          incoming.on('error', fail);
          incoming.on('end', () => {
            const text = Buffer.concat(chunks).toString();
            const status = incoming.statusCode ?? 0;
            if (status >= 200 && status < 300) {
              try {
                resolve((text === '' ? undefined : JSON.parse(text)) as TResult);
              } catch (error) {
                reject(new Error(`${call.method} ${call.path} answered what is not JSON`, { cause: error }));
              }
            } else reject(problemOf(call, status, text, incoming.headers['retry-after']));
          });
        },
      );
      outgoing.on('error', fail);
      outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within ${String(timeoutMs)} ms`)));
      outgoing.end(body);
    });
  }

  /**
   * Repeats the request while the product is away or asks to come again. For requests that may be carried out
   * twice.
   */
  async repeat<TResult>(call: Call): Promise<TResult> {
    const deadline = performance.now() + PATIENCE_MS;
    for (let backoffMs = BACKOFF_MS_MIN; ; backoffMs = Math.min(backoffMs * 2, BACKOFF_MS_MAX)) {
      try {
        return await this.once<TResult>(call);
      } catch (error) {
        if (!isRepeatable(error) || performance.now() > deadline) throw error;
        const asked = error instanceof ProblemError ? error.retryAfterMs : undefined;
        await sleep(Math.max(backoffMs, Math.min(asked ?? 0, 5_000)));
        await this.#server.up();
      }
    }
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

function problemOf(call: Call, status: number, text: string, retryAfter: string | undefined): ProblemError {
  let code = `HTTP_${String(status)}`;
  let detail = text.slice(0, 500);
  try {
    const problem = JSON.parse(text) as { readonly code?: unknown; readonly detail?: unknown };
    if (typeof problem.code === 'string') code = problem.code;
    if (typeof problem.detail === 'string') detail = problem.detail;
  } catch {
    // Not a problem document: the text has to do.
  }
  const seconds = Number(retryAfter);
  return new ProblemError({
    status,
    code,
    message: `${call.method} ${call.path}: ${String(status)} ${code}: ${detail}`,
    retryAfterMs: Number.isFinite(seconds) ? seconds * 1_000 : undefined,
  });
}
