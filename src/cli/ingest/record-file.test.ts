import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openRecords } from './record-file.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tandem-records-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function write(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

async function batchesOf(
  path: string,
  format?: 'ndjson' | 'csv',
): Promise<{ texts: string[]; records: number }> {
  const file = await openRecords(path, format);
  const texts: string[] = [];
  let records = 0;
  for await (const batch of file.batches()) {
    texts.push(Buffer.from(batch.bytes).toString());
    records += batch.records;
  }
  return { texts, records };
}

describe('openRecords', () => {
  it('cuts NDJSON where a record ends', async () => {
    const lines = Array.from({ length: 60_000 }, (_, index) =>
      JSON.stringify({ id: index, text: 'ä'.repeat(10) }),
    );
    const { texts, records } = await batchesOf(await write('many.ndjson', lines.join('\n')));
    expect(texts.length).toBeGreaterThan(1);
    expect(texts.join('')).toBe(lines.join('\n'));
    expect(records).toBe(lines.length);
    for (const text of texts.slice(0, -1)) expect(text.endsWith('}\n')).toBe(true);
  });

  it('repeats the first line of CSV and does not cut in a quoted value', async () => {
    const row = `1,"two\nlines, ""quoted""",${'x'.repeat(1_000)}\n`;
    const { texts, records } = await batchesOf(
      await write('many.csv', `\uFEFFid,text,pad\n${row.repeat(3_000)}`),
    );
    expect(texts.length).toBeGreaterThan(1);
    expect(records).toBe(3_000);
    for (const text of texts) {
      expect(text.startsWith('id,text,pad\n1,"two')).toBe(true);
      expect((text.length - 'id,text,pad\n'.length) % row.length).toBe(0);
    }
  });

  it('unpacks gzip whatever its name', async () => {
    const content = '{"id":1}\n{"id":2}\n';
    expect(await batchesOf(await write('a.ndjson.gz', gzipSync(content)))).toEqual({
      texts: [content],
      records: 2,
    });
    expect(await batchesOf(await write('b.jsonl', gzipSync(content)))).toEqual({
      texts: [content],
      records: 2,
    });
    const cut = await write('cut.ndjson.gz', gzipSync(content.repeat(1_000)).subarray(0, 60));
    await expect(batchesOf(cut)).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  });

  it('says what it expected', async () => {
    await expect(openRecords(join(folder, 'none.csv'), undefined)).rejects.toMatchObject({
      code: 'CONFIGURATION',
    });
    await expect(openRecords(folder, 'csv')).rejects.toMatchObject({ code: 'CONFIGURATION' });
    await expect(openRecords(await write('what.bin', 'x'), undefined)).rejects.toThrow('--format');
  });

  it('loses nothing, however lines fall', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ maxLength: 20 }), { maxLength: 30 }), async (values) => {
        const lines = values.map((value) => JSON.stringify({ value }));
        const { texts, records } = await batchesOf(
          await write('any.ndjson', lines.map((line) => `${line}\n`).join('')),
        );
        expect(texts.join('')).toBe(lines.map((line) => `${line}\n`).join(''));
        expect(records).toBe(lines.length);
      }),
      { numRuns: 30 },
    );
  });
});
