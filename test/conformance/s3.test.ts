import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openS3Objects, type S3Objects } from '../../src/adapters/objects/index.ts';
import { readS3Address } from '../../src/adapters/objects/s3-address.ts';
import { type HttpFaults, httpFaults } from '../support/http-faults.ts';
import { S3_SERVERS, type S3Server } from '../support/s3-server.ts';
import { rejectionCode } from './expectations.ts';
import { objectsConformance } from './objects.ts';

for (const { name, missing } of S3_SERVERS) {
  if (missing !== undefined) console.warn(`skipped: the tests of objects on S3 with ${name}: ${missing}`);
}

interface Opened extends AsyncDisposable {
  readonly objects: S3Objects;
  readonly folder: string;
}

async function openObjects(
  server: S3Server,
  options: { readonly port?: number; readonly cacheBytesMax?: number; readonly folder?: string } = {},
): Promise<Opened> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'tandem-s3-cache-')));
  const objects = await openS3Objects({
    url: server.url.replace(String(server.port), String(options.port ?? server.port)),
    environment: server.environment,
    cacheFolder: join(folder, 'cache'),
    cacheBytesMax: options.cacheBytesMax ?? 2 ** 30,
  });
  return {
    objects,
    folder,
    async [Symbol.asyncDispose]() {
      await objects[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

describe.for(S3_SERVERS)('objects on S3: $name', (kind) => {
  const { name, missing } = kind;
  if (missing !== undefined) return it.skip(missing);

  let server: S3Server;
  beforeAll(async () => {
    server = await kind.open();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  objectsConformance(name, async () => {
    const opened = await openObjects(server);
    return { objects: opened.objects, close: async () => opened[Symbol.asyncDispose]() };
  });

  it('stores large files in parts', async () => {
    await using opened = await openObjects(server);
    const { objects, folder } = opened;
    const bytes = randomBytes(40 * 2 ** 20 + 12_345);
    const path = join(folder, 'large');
    await writeFile(path, bytes);
    const { digest } = await objects.putFile(path);
    expect(digest).toBe(`sha256:${createHash('sha256').update(bytes).digest('hex')}`);
    expect(Buffer.compare(await readFile(await objects.path(digest)), bytes)).toBe(0);
    expect(Buffer.compare(await objects.get(digest), bytes)).toBe(0);
  });

  it('says what is wrong with bucket and credentials, and shows no secret', async () => {
    const cache = { cacheFolder: join(tmpdir(), 'never-made'), cacheBytesMax: 1 };
    const { url, environment } = server;
    const check = async (address: string, variables: Record<string, string>): Promise<unknown> => {
      await using objects = await openS3Objects({ url: address, environment: variables, ...cache });
      return await objects.check().then(
        () => undefined,
        (error: unknown) => error,
      );
    };
    expect(await check(url, { ...environment })).toBeUndefined();
    expect(await check(url.replace('//objects', '//nowhere'), { ...environment })).toMatchObject({
      code: 'CONFIGURATION',
    });
    const denied = await check(url, {
      // A server that checks signatures would refuse the wrong secret alone.
      AWS_ACCESS_KEY_ID: name === 's3rver' ? 'NOBODY' : (environment['AWS_ACCESS_KEY_ID'] ?? ''),
      AWS_SECRET_ACCESS_KEY: 'very-secret-but-wrong',
    });
    expect(denied).toMatchObject({ code: 'CONFIGURATION' });
    expect(JSON.stringify(denied) + String(denied)).not.toContain('very-secret');
    await expect(check(url, {})).rejects.toMatchObject({ code: 'CONFIGURATION' });
  });

  describe('through a network with faults', () => {
    let faults: HttpFaults;
    beforeAll(async () => {
      faults = await httpFaults(server.port);
    });
    afterAll(() => faults[Symbol.asyncDispose]());

    it('tries again what may pass: refusals, lost connections, answers that break off', async () => {
      await using opened = await openObjects(server, { port: faults.port });
      const { objects } = opened;
      const bytes = randomBytes(100_000);
      faults.next('PUT', 'refuse', 'drop', 'refuse');
      const { digest } = await objects.put(bytes);
      faults.next('GET', 'truncate', 'drop', 'truncate');
      expect(Buffer.compare(await objects.get(digest), bytes)).toBe(0);
      faults.next('GET', 'truncate', 'refuse');
      faults.next('HEAD', 'drop');
      expect(Buffer.compare(await readFile(await objects.path(digest)), bytes)).toBe(0);
    });

    it('gives up in the end, and says that the store does not answer', async () => {
      await using opened = await openObjects(server, { port: faults.port });
      const { objects } = opened;
      const { digest } = await objects.put(randomBytes(1_000));
      faults.next('GET', 'drop', 'drop', 'refuse', 'refuse');
      expect(await rejectionCode(objects.get(digest))).toBe('UNAVAILABLE');
      expect((await objects.get(digest)).length).toBe(1_000);
    });

    it('hands on no bytes but those of the digest', async () => {
      await using opened = await openObjects(server, { port: faults.port });
      const { objects } = opened;
      const bytes = randomBytes(1_000);
      const { digest } = await objects.put(bytes);
      faults.next('GET', 'falsify', 'falsify');
      expect(await rejectionCode(objects.get(digest))).toBe('INTERNAL');
      expect(await rejectionCode(objects.path(digest))).toBe('INTERNAL');
      expect(Buffer.compare(await readFile(await objects.path(digest)), bytes)).toBe(0);
    });

    it('goes on after the server was away', async () => {
      await using opened = await openObjects(server, { port: faults.port });
      const { objects } = opened;
      const { digest } = await objects.put(randomBytes(1_000));
      const path = await objects.path(digest);
      await server.stop();
      expect(await rejectionCode(objects.get(digest))).toBe('UNAVAILABLE');
      expect((await readFile(path)).length).toBe(1_000);
      await server.start();
      expect((await objects.get(digest)).length).toBe(1_000);
    });
  });

  it('keeps the path of a local copy valid until the end, whatever happens to the object', async () => {
    await using opened = await openObjects(server, { cacheBytesMax: 15_000 });
    const { objects } = opened;
    const digests: string[] = [];
    for (let index = 0; index < 3; index += 1) digests.push((await objects.put(randomBytes(10_000))).digest);
    const paths: string[] = [];
    for (const digest of digests) paths.push(await objects.path(digest));
    const [first = ''] = digests;
    await objects.remove(first);
    for (const path of paths) expect((await stat(path)).size).toBe(10_000);
    expect(await rejectionCode(objects.path(first))).toBe('OBJECT_NOT_FOUND');
  });

  it('lets go of the local copies that nobody holds, the oldest first, and fetches damaged ones anew', async () => {
    await using opened = await openObjects(server, { cacheBytesMax: 25_000 });
    const { objects, folder } = opened;
    // What processes that are gone left behind: copies, one of them damaged, and a folder of held paths.
    const left: { readonly digest: string; readonly path: string }[] = [];
    for (let age = 3; age >= 1; age -= 1) {
      const bytes = randomBytes(10_000);
      const { digest } = await objects.put(bytes);
      const hex = digest.slice('sha256:'.length);
      const path = join(folder, 'cache', 'shared', hex.slice(0, 2), hex);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, age === 1 ? randomBytes(10_000) : bytes);
      const then = new Date(Date.now() - age * 60_000);
      await utimes(path, then, then);
      left.push({ digest, path });
    }
    const held = join(folder, 'cache', 'held', `${hostname()}.4194303.0123456789abcdef`);
    await mkdir(held, { recursive: true });
    const [oldest, middle, newest] = left;
    const whole = await objects.path(newest?.digest ?? '');
    expect(
      createHash('sha256')
        .update(await readFile(whole))
        .digest('hex'),
    ).toBe(newest?.digest.slice(7));
    const isThere = (path = ''): Promise<boolean> =>
      stat(path).then(
        () => true,
        () => false,
      );
    expect(await isThere(held)).toBe(false);
    expect(await isThere(oldest?.path)).toBe(false);
    expect(await isThere(middle?.path)).toBe(true);
    expect(await isThere(newest?.path)).toBe(true);
  });
});

describe('the address of a bucket', () => {
  it('is read strictly', () => {
    const read = (url: string): unknown => readS3Address(url, { AWS_REGION: 'eu-west-1' });
    expect(read('s3://my-bucket')).toMatchObject({
      bucket: 'my-bucket',
      prefix: '',
      region: 'eu-west-1',
      pathStyle: false,
      endpoint: new URL('https://s3.eu-west-1.amazonaws.com'),
    });
    expect(read('s3://my-bucket/a/b/?region=x-1&endpoint=http://store:9000')).toMatchObject({
      prefix: 'a/b/',
      region: 'x-1',
      pathStyle: true,
    });
    for (const url of [
      'http://my-bucket',
      's3://key:secret@bucket',
      's3://B',
      's3://bucket?regoin=x',
      's3://bucket?endpoint=ftp://x',
      's3://bucket?pathStyle=maybe',
      's3://bucket/a%20b',
    ]) {
      expect(() => read(url), url).toThrow(/OBJECT_URL/);
    }
  });
});
