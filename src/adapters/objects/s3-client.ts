import { setTimeout as sleep } from 'node:timers/promises';
import { AwsV4Signer } from 'aws4fetch';
import { Agent, type Dispatcher, request } from 'undici';
import { PlatformError } from '../../contract/errors.ts';
import type { S3Address, S3Credentials } from './s3-address.ts';

/** Times and numbers of requests to the store. */
export const S3_LIMITS = {
  /** Requests at a time; more wait for a connection. */
  requestsMax: 16,
  /** How long a connection may take, in milliseconds. */
  connectMs: 5_000,
  /** How long the store may take to begin its answer once it has the request, in milliseconds. */
  answerMs: 30_000,
  /** How long an answer or a body on its way may stand still, in milliseconds. */
  stillMs: 30_000,
  /** How often a request is tried. */
  attemptsMax: 4,
  /** Pause before the second attempt, in milliseconds; it doubles with each one, and up to half of it is chance. */
  pauseMs: 200,
  /** Longest answer that says what went wrong, in bytes. */
  errorBytesMax: 16_384,
} as const;

/** One request. */
export interface S3Request {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  /** Below the prefix. Empty: the bucket itself. */
  readonly key: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** SHA-256 of the body in hexadecimal digits; the store refuses other bytes. */
  readonly sha256?: string;
}

/** What the store answered. */
export interface S3Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Dispatcher.ResponseData['body'];
}

/** An answer that is no success, with the store's own name for it. */
export class S3Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.name = 'S3Refusal';
    this.status = status;
    this.code = code;
  }
}

const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
/** The store's names for what passes by itself. */
const PASSING: ReadonlySet<string> = new Set([
  'RequestTimeout',
  'SlowDown',
  'InternalError',
  'ServiceUnavailable',
]);
/** And for a store that is full. */
const FULL: ReadonlySet<string> = new Set([
  'InsufficientStorage',
  'InsufficientCapacity',
  'QuotaExceeded',
  'XMinioStorageFull',
]);

/** Signed requests to a bucket, with retries. */
export class S3Client implements AsyncDisposable {
  readonly #address: S3Address;
  readonly #credentials: S3Credentials;
  readonly #agent: Agent;
  /** Keys for signing, made once a day. */
  readonly #signingKeys = new Map<string, ArrayBuffer>();

  constructor(address: S3Address, credentials: S3Credentials) {
    this.#address = address;
    this.#credentials = credentials;
    this.#agent = new Agent({
      connections: S3_LIMITS.requestsMax,
      connect: { timeout: S3_LIMITS.connectMs },
      headersTimeout: S3_LIMITS.answerMs,
      bodyTimeout: S3_LIMITS.stillMs,
      pipelining: 1,
    });
  }

  /**
   * Sends a request until it succeeds and `read` has read the answer to its end; a broken connection, a server error
   * and an answer that breaks off are tried again. Rejects with a PlatformError, or with the S3Refusal of a 404.
   */
  async send<TResult>(sent: S3Request, read: (answer: S3Answer) => Promise<TResult>): Promise<TResult> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await read(await this.#once(sent));
      } catch (error) {
        if (PlatformError.is(error)) throw error;
        if (error instanceof S3Refusal && !isPassing(error)) throw translate(error, this.#address);
        if (attempt === S3_LIMITS.attemptsMax) throw unavailable(error, this.#address);
        const pauseMs = S3_LIMITS.pauseMs * 2 ** (attempt - 1);
        await sleep(pauseMs * (1 - Math.random() / 2));
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }

  async #once({ method, key, query = {}, body, sha256 }: S3Request): Promise<S3Answer> {
    const url = this.#url(key, query);
    const signer = new AwsV4Signer({
      method,
      url: url.href,
      headers: { 'x-amz-content-sha256': sha256 ?? EMPTY_SHA256 },
      accessKeyId: this.#credentials.accessKeyId,
      secretAccessKey: this.#credentials.secretAccessKey,
      ...(this.#credentials.sessionToken === undefined
        ? {}
        : { sessionToken: this.#credentials.sessionToken }),
      service: 's3',
      region: this.#address.region,
      cache: this.#signingKeys,
    });
    const signed = await signer.sign();
    const answer = await request(signed.url, {
      method,
      headers: Object.fromEntries(signed.headers),
      body: body ?? null,
      dispatcher: this.#agent,
    });
    const { statusCode: status, headers } = answer;
    if (status >= 200 && status < 300) return { status, headers, body: answer.body };
    throw await refusalOf(status, answer.body);
  }

  #url(key: string, query: Readonly<Record<string, string>>): URL {
    const { endpoint, bucket, pathStyle, prefix } = this.#address;
    const url = new URL(endpoint);
    const base = url.pathname.replace(/\/$/, '');
    if (!pathStyle) url.hostname = `${bucket}.${url.hostname}`;
    const path = key === '' ? '' : `/${prefix}${key}`;
    url.pathname = pathStyle ? `${base}/${bucket}${path}` : `${base}${path === '' ? '/' : path}`;
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    return url;
  }
}

/** What the store says in its XML; a HEAD has none. */
async function refusalOf(status: number, body: Dispatcher.ResponseData['body']): Promise<S3Refusal> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of body as AsyncIterable<Buffer>) {
    if (bytes < S3_LIMITS.errorBytesMax) pieces.push(piece);
    bytes += piece.length;
  }
  return readRefusal(status, Buffer.concat(pieces).toString('utf8'));
}

/** The refusal in an answer's XML. */
export function readRefusal(status: number, xml: string): S3Refusal {
  const code = element(xml, 'Code') ?? `HTTP ${String(status)}`;
  return new S3Refusal(status, code, element(xml, 'Message') ?? code);
}

/** Text of the first element of that name in the store's simple XML. */
export function element(xml: string, name: string): string | undefined {
  const text = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
  return text
    ?.replaceAll('&quot;', '"')
    .replaceAll('&#34;', '"')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&');
}

function isPassing({ status, code }: S3Refusal): boolean {
  if (FULL.has(code) || status === 507) return false;
  return status >= 500 || status === 429 || PASSING.has(code);
}

function translate(error: S3Refusal, { bucket, endpoint }: S3Address): Error {
  const { status, code, message } = error;
  const details = { status, code, bucket };
  const said = `the object store ${endpoint.host} said ${code}: ${message}`;
  if (status === 507 || FULL.has(code)) {
    return new PlatformError('STORAGE_FULL', `The object store is full: ${said}`, { details, cause: error });
  }
  if (code === 'NoSuchBucket') {
    return new PlatformError('CONFIGURATION', `There is no bucket '${bucket}': ${said}`, {
      details,
      cause: error,
    });
  }
  if (status === 404) return error;
  if ([301, 307, 400, 401, 403].includes(status)) {
    return new PlatformError(
      'CONFIGURATION',
      `Bucket '${bucket}' cannot be used, check OBJECT_URL, the AWS_ variables and this machine's clock: ${said}`,
      { details, cause: error },
    );
  }
  return new PlatformError('INTERNAL', `Unexpected answer: ${said}`, { details, cause: error });
}

function unavailable(cause: unknown, { endpoint }: S3Address): PlatformError {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new PlatformError('UNAVAILABLE', `The object store ${endpoint.host} does not answer: ${text}`, {
    cause,
  });
}
