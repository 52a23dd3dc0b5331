import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Objects } from '../../src/runtime/ports/index.ts';
import { rejectionCode } from './expectations.ts';

export interface ObjectsOpening {
  readonly objects: Objects;
  close(): Promise<void>;
}

/** What every adapter of the port Objects must do. */
export function objectsConformance(name: string, open: () => Promise<ObjectsOpening>): void {
  describe(`${name}: Objects`, () => {
    let opening: ObjectsOpening;
    let folder: string;
    beforeAll(async () => {
      opening = await open();
      folder = await mkdtemp(join(tmpdir(), 'tandem-objects-'));
    });
    afterAll(async () => {
      await opening.close();
      await rm(folder, { recursive: true, force: true });
    });

    it('gives back what was put, by its digest', async () => {
      const { objects } = opening;
      for (const bytes of [new Uint8Array(0), randomBytes(10), randomBytes(9_000_000)]) {
        const reference = await objects.put(bytes);
        expect(reference).toEqual({ digest: digestOf(bytes), bytes: bytes.byteLength });
        expect(Buffer.compare(await objects.get(reference.digest), bytes)).toBe(0);
        expect(await objects.has(reference.digest)).toBe(true);
        expect(Buffer.compare(await readFile(await objects.path(reference.digest)), bytes)).toBe(0);
      }
    });

    it('stores the bytes of a file and leaves the file', async () => {
      const { objects } = opening;
      const bytes = randomBytes(100_000);
      const path = join(folder, 'file');
      await writeFile(path, bytes);
      expect(await objects.putFile(path)).toEqual({ digest: digestOf(bytes), bytes: bytes.byteLength });
      expect(Buffer.compare(await objects.get(digestOf(bytes)), bytes)).toBe(0);
      expect(Buffer.compare(await readFile(path), bytes)).toBe(0);
      expect(await rejectionCode(objects.putFile(join(folder, 'nothing')))).toBe('BAD_REQUEST');
    });

    it('takes the same bytes from many at once', async () => {
      const { objects } = opening;
      const bytes = randomBytes(50_000);
      const references = await Promise.all(Array.from({ length: 8 }, () => objects.put(bytes)));
      expect(new Set(references.map(({ digest }) => digest))).toEqual(new Set([digestOf(bytes)]));
      expect(Buffer.compare(await objects.get(digestOf(bytes)), bytes)).toBe(0);
    });

    it('has nothing that was not put or was removed', async () => {
      const { objects } = opening;
      const { digest } = await objects.put(randomBytes(20));
      await objects.remove(digest);
      await objects.remove(digest);
      expect(await objects.has(digest)).toBe(false);
      expect(await rejectionCode(objects.get(digest))).toBe('OBJECT_NOT_FOUND');
      expect(await rejectionCode(objects.path(digest))).toBe('OBJECT_NOT_FOUND');
    });

    it('takes nothing but digests', async () => {
      const { objects } = opening;
      const hex = 'a'.repeat(64);
      for (const digest of [
        '',
        hex,
        `sha256:${hex.toUpperCase()}`,
        `sha256:${hex}/..`,
        'sha256:../../etc/passwd',
        `sha256:${hex}\n`,
      ]) {
        expect(await rejectionCode(objects.get(digest))).toBe('BAD_REQUEST');
        expect(await rejectionCode(objects.has(digest))).toBe('BAD_REQUEST');
        expect(await rejectionCode(objects.path(digest))).toBe('BAD_REQUEST');
        expect(await rejectionCode(objects.remove(digest))).toBe('BAD_REQUEST');
      }
    });
  });
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
