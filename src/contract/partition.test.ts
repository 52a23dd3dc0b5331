import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keyHash, partitionOf, servedTopic, SOURCE_PARTITIONS, sourceTopic } from './partition.ts';

/** Any string, halves of surrogate pairs included. */
const units = fc.array(fc.integer({ min: 0, max: 0xffff })).map((codes) => String.fromCharCode(...codes));

describe('the partition of a key', () => {
  it('never changes: installations have mapped their keys by it', () => {
    // Changing a line here moves the keys of every installation to other partitions.
    expect(
      ['', '0', '42', 'customer-1', 'Zürich', '客户', '\u{1f600}'].map((key) => [key, keyHash(key)]),
    ).toEqual([
      ['', 2_872_998_923],
      ['0', 1_234_930_415],
      ['42', 3_965_502_516],
      ['customer-1', 2_991_453_502],
      ['Zürich', 1_588_917_516],
      ['客户', 2_702_779_156],
      ['\u{1f600}', 2_916_093_958],
    ]);
    expect(SOURCE_PARTITIONS).toBe(8);
    expect([sourceTopic('payments'), servedTopic('card')]).toEqual(['source.payments', 'served.card']);
  });

  it('is a partition there is, the same one each time', () => {
    fc.assert(
      fc.property(units, fc.integer({ min: 1, max: 1_024 }), (key, partitions) => {
        const partition = partitionOf(key, partitions);
        expect(Number.isInteger(partition) && partition >= 0 && partition < partitions).toBe(true);
        expect(partitionOf(`${key}`, partitions)).toBe(partition);
      }),
    );
  });

  it('spreads numbered and prefixed keys evenly', () => {
    for (const prefix of ['', 'customer-', '0000000']) {
      const counts = Array.from({ length: SOURCE_PARTITIONS }, () => 0);
      for (let number = 0; number < 40_000; number += 1) {
        const partition = partitionOf(prefix + String(number), SOURCE_PARTITIONS);
        counts[partition] = (counts[partition] ?? 0) + 1;
      }
      // Four standard deviations of a fair throw around 5,000 are 265.
      expect(Math.min(...counts)).toBeGreaterThan(4_735);
      expect(Math.max(...counts)).toBeLessThan(5_265);
    }
  });
});
