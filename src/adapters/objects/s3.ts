import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { PlatformError } from '../../contract/errors.ts';
import type { ObjectReference, Objects } from '../../runtime/ports/index.ts';
import { hashFile, hexOf, readableFile, refuseLarge, verify } from './digest.ts';
import { FileCache } from './file-cache.ts';
import { readS3Address, readS3Credentials } from './s3-address.ts';
import { element, readRefusal, type S3Answer, S3Client, S3Refusal } from './s3-client.ts';

/** Sizes of uploads. */
const UPLOAD = {
  /** Files that are larger go up in parts of this size, in bytes. */
  partBytes: 16 * 2 ** 20,
  /** Most parts of one object, as the API has it: parts of very large files are larger. */
  partsMax: 10_000,
  /** Parts on their way at a time. */
  partsAtOnce: 3,
} as const;

/** What {@link s3Objects} is given. */
export interface S3Options {
  /** `s3://BUCKET/PREFIX?region=R&endpoint=URL&pathStyle=true`. */
  readonly url: string;
  /** Where credentials and defaults come from: the standard `AWS_` variables. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Local folder for copies of objects whose `path` is asked for. */
  readonly cacheFolder: string;
  /** How large that folder may become, in bytes; what a process holds counts too but stays. */
  readonly cacheBytesMax: number;
}

/** The port `Objects` on a bucket, with what ends it. */
export interface S3Objects extends Objects, AsyncDisposable {
  /** Rejects when the bucket cannot be used, saying why. */
  check(): Promise<void>;
}

/**
 * The port `Objects` on a bucket of a store with the S3 API. An object `sha256:abcd...` is the key
 * `PREFIX/ab/cd/abcd...`. The store is told the digest of what it gets and refuses other bytes; what comes back is
 * verified here.
 *
 * Rejects with BAD_REQUEST for what is no digest, OBJECT_NOT_FOUND, UNAVAILABLE when the store does not answer after
 * some attempts, STORAGE_FULL, CONFIGURATION when bucket or credentials are wrong, and INTERNAL when the bytes that came
 * back are not those of the digest.
 */
export function s3Objects(options: S3Options): S3Objects {
  const { url, environment } = options;
  const client = new S3Client(readS3Address(url, environment), readS3Credentials(environment));
  const store = new S3Store(client, new FileCache(options.cacheFolder, options.cacheBytesMax));
  return {
    put: (bytes) => store.put(bytes),
    putFile: (path) => store.putFile(path),
    get: (digest) => store.get(digest),
    has: (digest) => store.has(digest),
    path: (digest) => store.path(digest),
    remove: (digest) => store.remove(digest),
    check: () => store.check(),
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

class S3Store {
  readonly #client: S3Client;
  readonly #cache: FileCache;

  constructor(client: S3Client, cache: FileCache) {
    this.#client = client;
    this.#cache = cache;
  }

  async check(): Promise<void> {
    try {
      await this.#client.send({ method: 'HEAD', key: '' }, drain);
    } catch (error) {
      // The answer to a HEAD has no text: a bucket that is not there is a 404.
      if (!(error instanceof S3Refusal)) throw error;
      throw new PlatformError('CONFIGURATION', 'There is no such bucket as OBJECT_URL names', {
        cause: error,
      });
    }
  }

  async put(bytes: Uint8Array): Promise<ObjectReference> {
    const hex = createHash('sha256').update(bytes).digest('hex');
    await this.#client.send({ method: 'PUT', key: keyOf(hex), body: bytes, sha256: hex }, drain);
    return { digest: `sha256:${hex}`, bytes: bytes.byteLength };
  }

  async putFile(path: string): Promise<ObjectReference> {
    const size = await readableFile(path);
    // Read twice: the key must be known before the first byte goes up.
    const hex = await hashFile(path);
    if (size <= UPLOAD.partBytes) await this.#putSmall(path, hex);
    else await this.#putParts(path, hex, size);
    return { digest: `sha256:${hex}`, bytes: size };
  }

  async get(digest: string): Promise<Uint8Array> {
    const hex = hexOf(digest);
    const bytes = await this.#download(digest, hex, async ({ body, headers }) => {
      refuseLarge(digest, Number(headers['content-length'] ?? 0));
      const pieces: Buffer[] = [];
      let size = 0;
      for await (const piece of body as AsyncIterable<Buffer>) {
        pieces.push(piece);
        size += piece.length;
        refuseLarge(digest, size);
      }
      return Buffer.concat(pieces);
    });
    verify(digest, createHash('sha256').update(bytes).digest('hex'), 'in the object store');
    return bytes;
  }

  async has(digest: string): Promise<boolean> {
    try {
      await this.#client.send({ method: 'HEAD', key: keyOf(hexOf(digest)) }, drain);
      return true;
    } catch (error) {
      if (error instanceof S3Refusal) return false;
      throw error;
    }
  }

  path(digest: string): Promise<string> {
    return this.#pathOf(digest);
  }

  async remove(digest: string): Promise<void> {
    const hex = hexOf(digest);
    await this.#client.send({ method: 'DELETE', key: keyOf(hex) }, drain).catch((error: unknown) => {
      if (!(error instanceof S3Refusal)) throw error;
    });
    await this.#cache.forget(digest);
  }

  async #pathOf(digest: string): Promise<string> {
    const hex = hexOf(digest);
    // Whether it is still stored is what the answer says, not what was stored once and lies in the cache.
    if (!(await this.has(digest))) throw notFound(digest);
    return this.#cache.path(digest, (path) =>
      this.#download(digest, hex, ({ body }) => pipeline(body as Readable, createWriteStream(path))),
    );
  }

  async #download<TResult>(
    digest: string,
    hex: string,
    read: (answer: S3Answer) => Promise<TResult>,
  ): Promise<TResult> {
    try {
      return await this.#client.send({ method: 'GET', key: keyOf(hex) }, read);
    } catch (error) {
      throw error instanceof S3Refusal ? notFound(digest) : error;
    }
  }

  async #putSmall(path: string, hex: string): Promise<void> {
    const file = await open(path, 'r');
    try {
      const body = await file.readFile();
      await this.#client.send(
        { method: 'PUT', key: keyOf(hex), body, sha256: await unchanged(body, hex, path) },
        drain,
      );
    } finally {
      await file.close();
    }
  }

  /** Parts that are left over after a crash are the bucket's to clear away: give it a rule for that. */
  async #putParts(path: string, hex: string, size: number): Promise<void> {
    const key = keyOf(hex);
    const begun = await this.#client.send({ method: 'POST', key, query: { uploads: '' } }, text);
    const uploadId = element(begun, 'UploadId');
    if (uploadId === undefined) throw new PlatformError('INTERNAL', 'The object store began no upload');
    try {
      const tags = await this.#sendParts({ path, key, uploadId, hex, size });
      const list = tags.map(
        (tag, index) => `<Part><PartNumber>${String(index + 1)}</PartNumber><ETag>${tag}</ETag></Part>`,
      );
      const body = Buffer.from(
        `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${list.join('')}</CompleteMultipartUpload>`,
      );
      const sha256 = createHash('sha256').update(body).digest('hex');
      await this.#client.send({ method: 'POST', key, query: { uploadId }, body, sha256 }, async (answer) => {
        const said = await text(answer);
        // The store begins this answer before it knows how it ends.
        if (said.includes('<Error>')) throw readRefusal(500, said);
      });
    } catch (error) {
      await this.#client.send({ method: 'DELETE', key, query: { uploadId } }, drain).catch(() => undefined);
      throw error instanceof S3Refusal
        ? new PlatformError('UNAVAILABLE', `The upload was lost: ${error.message}`, { cause: error })
        : error;
    }
  }

  /** Sends all parts, a few at a time. Resolves with what the store calls them. */
  async #sendParts(upload: Upload): Promise<string[]> {
    const { path, key, uploadId, hex, size } = upload;
    const partBytes = Math.max(UPLOAD.partBytes, Math.ceil(size / UPLOAD.partsMax));
    const count = Math.ceil(size / partBytes);
    const tags: string[] = [];
    const whole = createHash('sha256');
    const file = await open(path, 'r');
    const sending = new Set<Promise<void>>();
    try {
      for (let part = 0; part < count; part += 1) {
        const body = Buffer.alloc(Math.min(partBytes, size - part * partBytes));
        await readFully(file, body, path);
        whole.update(body);
        const sha256 = createHash('sha256').update(body).digest('hex');
        const query = { partNumber: String(part + 1), uploadId };
        const sent = this.#client.send({ method: 'PUT', key, query, body, sha256 }, async (answer) => {
          await drain(answer);
          tags[part] = String(answer.headers['etag'] ?? '');
        });
        const done = sent.finally(() => sending.delete(done));
        sending.add(done);
        if (sending.size >= UPLOAD.partsAtOnce) await Promise.race(sending);
      }
      await Promise.all(sending);
    } finally {
      await Promise.allSettled(sending);
      await file.close();
    }
    if (whole.digest('hex') !== hex) throw changed(path);
    return tags;
  }
}

interface Upload {
  readonly path: string;
  readonly key: string;
  readonly uploadId: string;
  readonly hex: string;
  readonly size: number;
}

function keyOf(hex: string): string {
  return `${hex.slice(0, 2)}/${hex.slice(2, 4)}/${hex}`;
}

async function drain({ body }: S3Answer): Promise<void> {
  await body.dump();
}

async function text({ body }: S3Answer): Promise<string> {
  return body.text();
}

async function unchanged(body: Uint8Array, hex: string, path: string): Promise<string> {
  if (createHash('sha256').update(body).digest('hex') !== hex) throw changed(path);
  return hex;
}

async function readFully(
  file: { read(into: Buffer, at: number): Promise<{ bytesRead: number }> },
  into: Buffer,
  path: string,
): Promise<void> {
  for (let at = 0; at < into.length;) {
    const { bytesRead } = await file.read(into, at);
    if (bytesRead === 0) throw changed(path);
    at += bytesRead;
  }
}

function changed(path: string): PlatformError {
  return new PlatformError('BAD_REQUEST', `The file ${path} changed while it was being stored`);
}

function notFound(digest: string): PlatformError {
  return new PlatformError('OBJECT_NOT_FOUND', `No object ${digest} is stored`, { details: { digest } });
}
