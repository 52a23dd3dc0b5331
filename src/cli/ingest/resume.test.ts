import { appendFile, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RecordPlace } from './cut-batches.ts';
import { openRecords } from './record-file.ts';
import { Resume } from './resume.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tandem-resume-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const open = (path: string, canGrow = true): Promise<Resume> =>
  Resume.open(path, { dataDir: join(folder, 'data'), server: 'local', source: 'orders', canGrow });

const SENT = { records: 2, accepted: 2, quarantined: 0 };

describe('Resume', () => {
  it('knows a file again by what was sent of it, also when lines were added', async () => {
    const path = join(folder, 'grows.ndjson');
    await writeFile(path, '{"a":1}\n{"a":2}\n');
    const resume = await open(path);
    expect(await resume.read()).toBeUndefined();
    await resume.write({ ...SENT, offset: 16, isWhole: true });
    expect(await (await open(path)).read()).toMatchObject({ ...SENT, offset: 16, hasMore: false });
    await appendFile(path, '{"a":3}\n');
    expect(await (await open(path)).read()).toMatchObject({ offset: 16, hasMore: true });
    await writeFile(path, '{"a":1}\n{"b":2}\n{"a":3}\n');
    expect(await (await open(path)).read()).toBeUndefined();
    await writeFile(path, '{"a":1}\n');
    expect(await (await open(path)).read()).toBeUndefined();
  });

  it('begins a packed file anew when anything of it is another', async () => {
    const path = join(folder, 'packed.gz');
    await writeFile(path, gzipSync('x\ny\n'));
    await (await open(path, false)).write({ ...SENT, offset: 2, isWhole: false });
    expect(await (await open(path, false)).read()).toMatchObject({ offset: 2, hasMore: true });
    await writeFile(path, gzipSync('x\nz\n'));
    expect(await (await open(path, false)).read()).toBeUndefined();
  });

  it('takes a half-written note for none, and keeps sources and servers apart', async () => {
    const path = join(folder, 'apart.ndjson');
    await writeFile(path, 'x\n');
    const dataDir = join(folder, 'apart');
    const common = { dataDir, server: 'local', source: 'orders', canGrow: true };
    await (await Resume.open(path, common)).write({ ...SENT, offset: 2, isWhole: true });
    expect(await (await Resume.open(path, { ...common, source: 'other' })).read()).toBeUndefined();
    expect(await (await Resume.open(path, { ...common, server: 'http://a' })).read()).toBeUndefined();
    const [name = ''] = await readdir(join(dataDir, 'ingest'));
    await writeFile(join(dataDir, 'ingest', name), '{"version":1,');
    expect(await (await Resume.open(path, common)).read()).toBeUndefined();
  });
});

describe('batches from a place', () => {
  const row = (index: number): string => `${String(index)},"a\n""b"" ${'x'.repeat(300)}"\n`;
  const header = 'id,text\n';
  const text = `\uFEFF${header}${Array.from({ length: 9_000 }, (_, index) => row(index)).join('')}`;

  it.each([
    ['plain.csv', Buffer.from(text)],
    ['packed.csv.gz', gzipSync(text)],
  ])('go on behind it with the first line in front: %s', async (name, content) => {
    const path = join(folder, name);
    await writeFile(path, content);
    const places: RecordPlace[] = [];
    for await (const { end } of (await openRecords(path, undefined)).batches()) places.push(end);
    expect(places.length).toBeGreaterThan(2);
    for (const place of places.slice(0, -1)) {
      let [rest, records] = ['', place.records];
      for await (const batch of (await openRecords(path, undefined)).batches(place)) {
        const body = Buffer.from(batch.bytes).toString();
        expect(body.startsWith(header)).toBe(true);
        rest += body.slice(header.length);
        records += batch.records;
      }
      expect(records).toBe(9_000);
      expect(rest).toBe(Buffer.from(text).subarray(place.offset).toString());
    }
  });

  it('send a last line without an end, and again once it has grown', async () => {
    const path = join(folder, 'tail.ndjson');
    await writeFile(path, '{"a":1}\n{"a":2');
    const ends: RecordPlace[] = [];
    for await (const { end } of (await openRecords(path, undefined)).batches()) ends.push(end);
    expect(ends).toEqual([{ offset: 8, records: 1 }]);
    await appendFile(path, '2}\n');
    for await (const { bytes, end } of (await openRecords(path, undefined)).batches(ends[0])) {
      expect(Buffer.from(bytes).toString()).toBe('{"a":22}\n');
      expect(end).toEqual({ offset: 17, records: 2 });
    }
  });

  it('lose nothing from any place', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(400_000), { minLength: 3, maxLength: 9 }), async (sizes) => {
        const lines = sizes.map((size, index) => `${JSON.stringify({ index, pad: 'ä'.repeat(size) })}\n`);
        const path = join(folder, 'any.ndjson');
        await writeFile(path, lines.join(''));
        const whole = Buffer.from(lines.join(''));
        for await (const { end } of (await openRecords(path, undefined)).batches()) {
          const rest: Uint8Array[] = [];
          for await (const batch of (await openRecords(path, undefined)).batches(end)) rest.push(batch.bytes);
          expect(Buffer.concat(rest).equals(whole.subarray(end.offset))).toBe(true);
          expect(lines.slice(end.records).join('').length).toBe(Buffer.concat(rest).toString().length);
        }
      }),
      { numRuns: 10 },
    );
  });
});
