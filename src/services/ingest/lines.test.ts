import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readPieces } from './body.ts';
import { LineCutter } from './lines.ts';
import { chunksOf, cutUp } from './test-host.ts';

function linesOf(
  pieces: readonly Buffer[],
  lineBytesMax = 1_000,
): { text: string; size: number; ascii: boolean }[] {
  const cutter = new LineCutter(lineBytesMax);
  const found: { text: string; size: number; ascii: boolean }[] = [];
  const take = (line: ReturnType<LineCutter['next']>): boolean => {
    if (line !== undefined) found.push({ text: line.bytes.toString(), size: line.size, ascii: line.ascii });
    return line !== undefined;
  };
  for (const piece of pieces) {
    cutter.push(piece);
    while (take(cutter.next()));
  }
  take(cutter.end());
  return found;
}

const texts = (pieces: readonly Buffer[], lineBytesMax?: number): string[] =>
  linesOf(pieces, lineBytesMax).map(({ text }) => text);

describe('LineCutter', () => {
  it('cuts at line feeds, drops white space and blank lines, and needs no end of line at the end', () => {
    expect(texts([Buffer.from('a\r\n\n \t \n  b c \r\nd')])).toEqual(['a', 'b c', 'd']);
    expect(texts([])).toEqual([]);
    expect(texts([Buffer.from('\n\n')])).toEqual([]);
  });

  it('finds the same lines however the bytes come', () => {
    const line = fc.string({ unit: fc.constantFrom('a', '{', ' ', 'ü', '客', '\u{1f600}', '\r') });
    fc.assert(
      fc.property(fc.array(line), fc.array(fc.nat(40)), (lines, sizes) => {
        const body = Buffer.from(lines.join('\n'));
        const expected = lines
          .map((text) => text.replaceAll(/^[ \r]+|[ \r]+$/g, ''))
          .filter((text) => text !== '');
        expect(texts(cutUp(body, sizes))).toEqual(expected);
      }),
    );
  });

  it('says that a line is ASCII only when it is', () => {
    const pieces = cutUp(Buffer.from('plain\nfür\nab\nc'), [8]);
    for (const { text, ascii } of linesOf(pieces)) expect(ascii && text.includes('ü')).toBe(false);
    expect(linesOf([Buffer.from('plain\nplain')])[0]?.ascii).toBe(true);
  });

  it('keeps the beginning of a line that is too long, tells its size and goes on', () => {
    for (const sizes of [[], [1, 1, 1, 1, 1, 1, 1], [7, 7]]) {
      const found = linesOf(cutUp(Buffer.from('12345678\n1234\n123456789'), sizes), 4);
      expect(found.map(({ text, size }) => [text, size])).toEqual([
        ['1234', 8],
        ['1234', 4],
        ['1234', 9],
      ]);
    }
  });
});

describe('readPieces', () => {
  async function read(
    chunks: AsyncIterable<Uint8Array>,
    bytesMax = 1_000_000,
  ): Promise<{ sizes: number[]; error?: unknown }> {
    const sizes: number[] = [];
    try {
      for await (const piece of readPieces(chunks, { bytesMax, arrived: () => undefined }))
        sizes.push(piece.length);
      return { sizes };
    } catch (error) {
      return { sizes, error };
    }
  }
  async function* times(count: number, bytes: number): AsyncGenerator<Uint8Array> {
    for (let index = 0; index < count; index += 1) yield new Uint8Array(bytes);
    await Promise.resolve();
  }

  it('puts small chunks together and passes large ones on', async () => {
    expect(await read(times(100_000, 1))).toEqual({ sizes: [32_768, 32_768, 32_768, 1_696] });
    expect(await read(times(2, 50_000))).toEqual({ sizes: [50_000, 50_000] });
  });

  it('leaves out a byte order mark', async () => {
    const chunks = cutUp(Buffer.from('\ufeffa\ufeff'), [1, 1]);
    const pieces: string[] = [];
    for await (const piece of readPieces(chunksOf(chunks), { bytesMax: 9, arrived: () => undefined }))
      pieces.push(piece.toString());
    expect(pieces).toEqual(['a\ufeff']);
  });

  it('hands out what came before a failure, then fails', async () => {
    const broken = async function* (): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(10);
      throw new Error('truncated');
    };
    expect(await read(broken())).toEqual({ sizes: [10], error: new Error('truncated') });
    const { sizes, error } = await read(times(11, 10), 100);
    expect(sizes).toEqual([100]);
    expect(error).toMatchObject({ code: 'BODY_TOO_LARGE', details: { bytesMax: 100 } });
  });
});
