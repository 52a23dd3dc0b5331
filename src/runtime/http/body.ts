import type { IncomingMessage } from 'node:http';
import { type AnyRoute, PlatformError } from '../../contract/index.ts';
import type { RawBody } from '../service.ts';
import { type BodyLimits, decodeBody, readEncoding, stoodStill, tooLarge } from './decode.ts';
import { parseJson } from './json.ts';
import type { HttpLimits } from './limits.ts';

/**
 * Media types whose bodies are let go of as they come, to the store or to disk, so that the limit on a body's size is not meant
 * for them.
 */
const STREAMED: ReadonlySet<string> = new Set(['application/x-ndjson', 'application/vnd.apache.parquet']);

/** Whether bodies of a media type may be larger than the limit of their route. */
export function isStreamed(mediaType: string): boolean {
  return STREAMED.has(mediaType);
}
/**
 * Bytes of a refused body that are read and dropped, so that the client hears the answer instead of a reset.
 */
const LINGER_BYTES_MAX = 16 * 1_048_576;
const LINGER_MS_MAX = 2_000;

/** Raw bodies of at most so many bytes can be had as a whole. */
const WHOLE_BYTES_MAX = 65_536;

/** Whether the route takes raw bytes instead of JSON. */
export function takesRawBody(route: AnyRoute): boolean {
  return (route.body as { readonly def?: { readonly type?: string } }).def?.type === 'unknown';
}

/**
 * The body of a request as the route takes it: parsed JSON, `undefined` when there is none, or a {@link
 * RawBody}.
 */
export async function readBody(
  request: IncomingMessage,
  route: AnyRoute,
  limits: HttpLimits,
): Promise<unknown> {
  const mediaType = readMediaType(request.headers['content-type']);
  if (takesRawBody(route)) return rawBody(request, mediaType, route, limits);
  if (isEmpty(request)) return undefined;
  if (mediaType !== 'application/json') {
    throw new PlatformError(
      'UNSUPPORTED_MEDIA_TYPE',
      `content-type: expected application/json, got ${mediaType === '' ? 'none' : `'${mediaType}'`}`,
    );
  }
  const bytes = await collect(request, route.bodyBytesMax, limits);
  return bytes.length === 0 ? undefined : parseJson(bytes, limits.jsonDepthMax);
}

/** Whether a request has no body. */
export function isEmpty(request: IncomingMessage): boolean {
  const length = request.headers['content-length'];
  return request.headers['transfer-encoding'] === undefined && (length === undefined || length === '0');
}

/**
 * Media type without parameters, in lower case. Throws UNSUPPORTED_MEDIA_TYPE for a character set that is not
 * UTF-8.
 */
export function readMediaType(header: string | undefined): string {
  if (header === undefined || header === 'application/json') return header ?? '';
  const [type = '', ...parameters] = header.split(';');
  for (const parameter of parameters) {
    const [name, value = ''] = parameter.split('=', 2);
    if (name?.trim().toLowerCase() !== 'charset') continue;
    const charset = value.trim().replaceAll('"', '').toLowerCase();
    if (charset !== 'utf-8' && charset !== 'utf8' && charset !== 'us-ascii') {
      throw new PlatformError(
        'UNSUPPORTED_MEDIA_TYPE',
        `content-type: expected charset utf-8, got '${charset.slice(0, 40)}'`,
      );
    }
  }
  return type.trim().toLowerCase();
}

function rawBody(request: IncomingMessage, mediaType: string, route: AnyRoute, limits: HttpLimits): RawBody {
  const encoding = readEncoding(request.headers['content-encoding']);
  const bytesMax = isStreamed(mediaType) ? limits.decodedBytesMax : route.bodyBytesMax;
  const announced = Number(request.headers['content-length'] ?? 0);
  if (!isStreamed(mediaType) && announced > bytesMax) throw tooLarge(bytesMax);
  const unlimited = isStreamed(mediaType) && encoding === 'identity';
  const bounds: BodyLimits = {
    bytesMax: unlimited ? Number.POSITIVE_INFINITY : bytesMax,
    ratioMax: limits.decodedRatioMax,
    idleMs: limits.bodyMs,
  };
  const isSmall = encoding === 'identity' && announced > 0 && announced <= WHOLE_BYTES_MAX;
  return {
    mediaType,
    chunks: decodeBody(request, encoding, bounds),
    whole: isSmall ? (arrived) => collectWatched(request, bounds, arrived) : undefined,
  };
}

/**
 * A raw body as a whole, given up when nothing comes for a while. Unlike that of a JSON route it may take as long as its call
 * as long as it goes on coming.
 */
async function collectWatched(
  request: IncomingMessage,
  { bytesMax, idleMs }: BodyLimits,
  arrived: (bytes: number) => void,
): Promise<Buffer> {
  let isIdle = false;
  const timer = setTimeout(() => {
    isIdle = true;
    request.destroy(new Error('The body stood still'));
  }, idleMs);
  try {
    return await collectPlain(request, bytesMax, (bytes) => {
      timer.refresh();
      arrived(bytes);
    });
  } catch (error) {
    if (!isIdle) throw error;
    throw stoodStill(idleMs, error);
  } finally {
    clearTimeout(timer);
  }
}

async function collect(request: IncomingMessage, bytesMax: number, limits: HttpLimits): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > bytesMax) throw tooLarge(bytesMax);
  if (request.headers['content-encoding'] === undefined) return collectPlain(request, bytesMax);
  const encoding = readEncoding(request.headers['content-encoding']);
  const bounds: BodyLimits = { bytesMax, ratioMax: limits.decodedRatioMax, idleMs: limits.bodyMs };
  const chunks: Uint8Array[] = [];
  for await (const chunk of decodeBody(request, encoding, bounds)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/**
 * The same for a body as it is, without the machinery of streams: this is the path of every small request.
 * The timer of the call ends the wait for a client that stops sending.
 */
export function collectPlain(
  request: IncomingMessage,
  bytesMax: number,
  arrived?: (bytes: number) => void,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const settle = (error: unknown): void => {
      request.off('data', onData).off('end', onEnd).off('error', onBreak).off('close', onBreak);
      // The rest stays unread until the answer is on its way.
      request.pause();
      reject(error);
    };
    const onData = (chunk: Buffer): void => {
      chunks.push(chunk);
      size += chunk.length;
      if (size > bytesMax) return settle(tooLarge(bytesMax));
      try {
        arrived?.(chunk.length);
      } catch (error) {
        settle(error);
      }
    };
    const onEnd = (): void => {
      const [first] = chunks;
      resolve(chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks, size));
    };
    const onBreak = (): void => {
      if (!request.readableEnded)
        settle(new PlatformError('BAD_REQUEST', 'body: the connection was closed before its end'));
    };
    request.on('data', onData).on('end', onEnd).on('error', onBreak).on('close', onBreak);
  });
}

/** The error of a JSON body that did not arrive in time. */
export function slowBody(bodyMs: number): PlatformError {
  return new PlatformError('BAD_REQUEST', `body: expected all of it within ${String(bodyMs)} ms`, {
    details: { bodyMs },
  });
}

/**
 * Reads on in a body that nobody wants, within limits. Closing a connection with unread bytes resets it, and
 * the client would lose the answer that says why. Resolves with whether all of it was read, so that the
 * connection can be kept.
 */
export function linger(request: IncomingMessage): Promise<boolean> {
  if (request.complete || request.destroyed) return Promise.resolve(request.complete);
  return new Promise((resolve) => {
    let left = LINGER_BYTES_MAX;
    const done = (): void => {
      clearTimeout(timer);
      request.off('data', onData).off('end', done).off('close', done).off('error', done);
      // A late error of the connection must not end the process.
      request.on('error', () => undefined);
      resolve(request.complete);
    };
    const onData = (chunk: Buffer): void => {
      left -= chunk.length;
      if (left < 0) done();
    };
    const timer = setTimeout(done, LINGER_MS_MAX);
    request.on('data', onData).on('end', done).on('close', done).on('error', done);
    request.resume();
  });
}
