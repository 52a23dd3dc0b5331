import type { Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { PlatformError } from '../../contract/index.ts';

/**
 * A decoded body may be this large before its ratio to the compressed one is looked at: small ones are
 * harmless.
 */
const RATIO_FREE_BYTES = 1_048_576;

/** Content encodings that a body may have. */
export type Encoding = 'gzip' | 'x-gzip' | 'deflate' | 'br' | 'identity';

const DECODERS = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
};

/** What a body may come to. */
export interface BodyLimits {
  /** Size after decoding, in bytes. */
  readonly bytesMax: number;
  /** Decoded bytes per compressed byte. */
  readonly ratioMax: number;
  /** How long nothing may arrive, in milliseconds. */
  readonly idleMs: number;
}

/** Reads a `content-encoding` header. Throws UNSUPPORTED_MEDIA_TYPE. */
export function readEncoding(header: string | undefined): Encoding {
  const name = header?.trim().toLowerCase() ?? 'identity';
  if (name === 'identity' || Object.hasOwn(DECODERS, name)) return name as Encoding;
  throw new PlatformError(
    'UNSUPPORTED_MEDIA_TYPE',
    `content-encoding: expected gzip, deflate, br or identity, got '${name.slice(0, 40)}'`,
  );
}

/**
 * The decoded bytes of a body, piece by piece; memory stays bounded whatever is sent, because a decoder is
 * only fed while its output is taken. Rejects with BODY_TOO_LARGE beyond a limit, BAD_REQUEST when the
 * compressed stream is damaged or ends early, or when the client stopped sending.
 */
export async function* decodeBody(
  source: Readable,
  encoding: Encoding,
  limits: BodyLimits,
): AsyncGenerator<Uint8Array, void, undefined> {
  const watched = watch(source, limits.idleMs);
  let decoded = 0;
  try {
    for await (const chunk of encoding === 'identity' ? watched.chunks : inflate(watched, encoding)) {
      decoded += chunk.byteLength;
      if (decoded > limits.bytesMax) throw tooLarge(limits.bytesMax);
      if (
        encoding !== 'identity' &&
        decoded > RATIO_FREE_BYTES &&
        decoded > watched.received() * limits.ratioMax
      ) {
        throw new PlatformError(
          'BODY_TOO_LARGE',
          `body: expected at most ${String(limits.ratioMax)} decoded bytes per compressed byte, got more; send it uncompressed`,
          { details: { ratioMax: limits.ratioMax } },
        );
      }
      yield chunk;
    }
  } finally {
    watched.end();
  }
}

/** The error of a body beyond its limit. */
export function tooLarge(bytesMax: number): PlatformError {
  return new PlatformError('BODY_TOO_LARGE', `body: expected at most ${String(bytesMax)} bytes, got more`, {
    details: { bytesMax },
  });
}

/** The error of a body of which nothing came for too long. */
export function stoodStill(idleMs: number, cause: unknown): PlatformError {
  return new PlatformError('BAD_REQUEST', `body: nothing arrived for ${String(idleMs)} ms`, { cause });
}

interface Watched {
  readonly chunks: AsyncIterable<Uint8Array>;
  received(): number;
  end(): void;
}

/** Counts what arrives and gives up on a client that sends nothing for `idleMs`. */
function watch(source: Readable, idleMs: number): Watched {
  let received = 0;
  let isIdle = false;
  let isWaiting = true;
  const timer = setTimeout(() => {
    // While its bytes wait for us, the client is not to blame.
    if (!isWaiting) return void timer.refresh();
    isIdle = true;
    source.destroy(new Error('The body stood still'));
  }, idleMs);
  const end = (): void => clearTimeout(timer);
  async function* chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      // Leaving early must not close the connection: an answer is still to be sent over it.
      for await (const chunk of source.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
        received += chunk.byteLength;
        isWaiting = false;
        yield chunk;
        isWaiting = true;
        timer.refresh();
      }
    } catch (error) {
      if (isIdle) throw stoodStill(idleMs, error);
      throw new PlatformError('BAD_REQUEST', 'body: the connection was closed before its end', {
        cause: error,
      });
    }
  }
  return { chunks: chunks(), received: () => received, end };
}

async function* inflate(
  source: Watched,
  encoding: Exclude<Encoding, 'identity'>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const decoder = DECODERS[encoding]();
  const fed = feed(source.chunks, decoder);
  try {
    for await (const chunk of decoder as AsyncIterable<Uint8Array>) yield chunk;
    await fed;
  } catch (error) {
    if (PlatformError.is(error)) throw error;
    throw new PlatformError('BAD_REQUEST', `body: the ${encoding} stream is damaged or ends early`, {
      cause: error,
    });
  } finally {
    decoder.destroy();
    await fed.catch(() => undefined);
  }
}

/**
 * Writes the source into the decoder, waiting while it is full; errors of the source become those of the
 * decoder.
 */
async function feed(
  source: AsyncIterable<Uint8Array>,
  decoder: ReturnType<typeof createGunzip>,
): Promise<void> {
  try {
    for await (const chunk of source) {
      if (decoder.destroyed) return;
      if (!decoder.write(chunk)) await drained(decoder);
    }
    decoder.end();
  } catch (error) {
    decoder.destroy(error instanceof Error ? error : new Error(String(error)));
  }
}

function drained(decoder: ReturnType<typeof createGunzip>): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      decoder.off('drain', done).off('close', done);
      resolve();
    };
    decoder.on('drain', done).on('close', done);
  });
}
