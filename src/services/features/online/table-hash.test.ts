import { describe, expect, it } from 'vitest';
import { tableHash, tableHashOfBytes } from './table-hash.ts';

describe('tableHash', () => {
  it('is one number for a text, of 32 bits with a sign', () => {
    for (const text of ['', 'a', 'Zürich', '客户', '\u{1f600}', 'x'.repeat(1_000)]) {
      expect(tableHash(`${text}`)).toBe(tableHash(text));
      expect(tableHash(text) | 0).toBe(tableHash(text));
    }
  });

  it('is the same for a text and for its bytes, wherever they lie', () => {
    for (const text of ['', 'a', 'order-17', 'Z\u00fcrich', 'x'.repeat(127), `${'xyz'.repeat(100)}1`]) {
      const bytes = Buffer.from(`..${text}..`, 'latin1');
      expect(tableHashOfBytes(bytes, 2, text.length)).toBe(tableHash(text));
    }
  });

  it('tells similar texts apart, long ones too', () => {
    const similar = Array.from({ length: 20_000 }, (_, index) => `customer-${String(index)}`);
    const long = Array.from(
      { length: 2_000 },
      (_, index) => `${'x'.repeat(index % 7)}${'y'.repeat(300)}${String(index)}`,
    );
    const swapped = ['ab', 'ba', 'a\0', 'a', '\0a', `${'a'.repeat(128)}b`, `b${'a'.repeat(128)}`];
    const texts = new Set([...similar, ...long, ...swapped]);
    const hashes = new Set([...texts].map((text) => tableHash(text)));
    // Of 22,000 texts 0.06 pairs share a hash by chance.
    expect(texts.size - hashes.size).toBeLessThan(4);
  });

  it('spreads over the bits that choose a place', () => {
    const counts = new Float64Array(64);
    for (let index = 0; index < 64_000; index += 1) {
      const hash = tableHash(`order-${String(index)}`);
      counts[(hash >>> 27) % 32] = (counts[(hash >>> 27) % 32] ?? 0) + 1;
      counts[32 + (hash & 31)] = (counts[32 + (hash & 31)] ?? 0) + 1;
    }
    // Seven standard deviations of a fair throw around 2,000: the hash is another one in each run.
    for (const count of counts) expect(Math.abs(count - 2_000)).toBeLessThan(310);
  });
});
