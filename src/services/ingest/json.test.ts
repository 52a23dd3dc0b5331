import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutArray, isDeeper } from './json.ts';

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

const bytesOf = (value: unknown, indent = 0): Buffer => Buffer.from(JSON.stringify(value, null, indent));
const cut = (text: string): [string, string | undefined][] =>
  [...cutArray(Buffer.from(text))].map(({ bytes, broken }) => [bytes.toString(), broken]);
const strings = fc.string({ unit: fc.constantFrom('"', '\\', '[', ']', '{', '}', ',', 'a', 'ü', '\n') });
const leaves = fc.oneof(strings, fc.boolean(), fc.constant(null), fc.integer());
const tricky = fc.letrec<{ node: unknown }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 5, depthSize: 'xsmall' },
    leaves,
    fc.array(tie('node'), { maxLength: 4 }),
    fc.dictionary(strings, tie('node'), { maxKeys: 4, noNullPrototype: true }),
  ),
})).node;

describe('isDeeper', () => {
  it('knows the depth of any JSON, whatever its strings hold', () => {
    fc.assert(
      fc.property(tricky, fc.constantFrom(0, 2), (value, indent) => {
        const depth = depthOf(value);
        const bytes = bytesOf(value, indent);
        expect(isDeeper(bytes, depth)).toBe(false);
        if (depth > 0) expect(isDeeper(bytes, depth - 1)).toBe(true);
      }),
    );
  });

  it('answers for a million brackets, closed or not', () => {
    expect(isDeeper(Buffer.from('['.repeat(1_000_000)), 32)).toBe(true);
    expect(isDeeper(Buffer.from('[]'.repeat(1_000_000)), 32)).toBe(false);
    expect(isDeeper(Buffer.from(`"${'['.repeat(1_000_000)}`), 32)).toBe(false);
  });
});

describe('cutArray', () => {
  it('finds the elements of any array as they were written', () => {
    fc.assert(
      fc.property(
        fc.array(tricky, { maxLength: 6 }),
        fc.constantFrom('', ' ', '\r\n\t'),
        (elements, space) => {
          const written = elements.map((element) => JSON.stringify(element));
          const body = `[${space}${written.join(`${space},${space}`)}${space}]${space}`;
          expect(cut(body)).toEqual(written.map((text) => [text, undefined]));
        },
      ),
    );
  });

  it('ends on any bytes and loses none but commas, brackets and white space around elements', () => {
    const anything = fc.string({ unit: fc.constantFrom('"', '\\', '[', ']', '{', '}', ',', '1', ' ') });
    fc.assert(
      fc.property(anything, (text) => {
        const found = cut(`[${text}`).map(([element]) => element);
        const bare = (some: string): string => some.replaceAll(/[[\], ]/g, '');
        expect(bare(found.join(''))).toBe(bare(text));
      }),
    );
  });

  it('keeps a broken element to itself as long as brackets and quotes close', () => {
    expect(cut(' [ ] ')).toEqual([]);
    expect(cut('[{"a":NaN},{"b":1}]')).toEqual([
      ['{"a":NaN}', undefined],
      ['{"b":1}', undefined],
    ]);
    const missing = 'an element of the array is missing';
    expect(cut('[1,,2,]')).toEqual([
      ['1', undefined],
      ['', missing],
      ['2', undefined],
      ['', missing],
    ]);
  });

  it('gives the rest as one broken element when they do not', () => {
    const open = 'the array is not closed: a bracket or a quote is missing';
    expect(cut('[{"a":1},{"a":"x},{"a":2}]')).toEqual([
      ['{"a":1}', undefined],
      ['{"a":"x},{"a":2}]', open],
    ]);
    expect(cut('[1,[2,3')).toEqual([
      ['1', undefined],
      ['[2,3', open],
    ]);
    expect(cut('[1] [2]')).toEqual([
      ['1', undefined],
      ['[2]', 'something follows the end of the array'],
    ]);
  });
});
