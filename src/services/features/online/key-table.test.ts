import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeyTable } from './key-table.ts';
import { SectionReader, SectionWriter } from './sections.ts';

/** Short and long, narrow and wide. */
const keys = fc.oneof(
  fc.string({ maxLength: 3 }),
  fc.integer({ min: 0, max: 20 }).map((length) => 'k'.repeat(length * 4)),
  fc.integer({ min: 0, max: 5 }).map((index) => `Zürich-客户-${String(index)}`),
);

function reloaded(table: KeyTable, owned: number): KeyTable {
  const writer = new SectionWriter();
  table.save(writer);
  const loaded = new KeyTable(owned);
  loaded.load(new SectionReader(writer.finish()));
  return loaded;
}

describe('KeyTable', () => {
  it('gives each key a slot and words of its own for as long as it is there', () => {
    const step = fc.record({
      key: keys,
      what: fc.constantFrom('add', 'add', 'add', 'remove', 'reload'),
      word: fc.integer({ min: 1, max: 1_000_000 }),
    });
    const property = fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      let table = new KeyTable(2);
      const known = new Map<string, { slot: number; word: number }>();
      for (const { key, what, word } of steps) {
        if (what === 'reload') table = reloaded(table, 2);
        else if (what === 'add') {
          const slot = table.slot(key);
          expect(slot).toBe(known.get(key)?.slot ?? slot);
          // The words of a new slot are 0, whoever had it before.
          expect(table.words(slot)[table.at(slot) + 1]).toBe(known.get(key)?.word ?? 0);
          table.words(slot)[table.at(slot) + 1] = word;
          known.set(key, { slot, word });
        } else {
          const slot = table.find(key);
          expect(slot).toBe(known.get(key)?.slot ?? -1);
          if (slot < 0) continue;
          table.remove(slot);
          known.delete(key);
          expect(table.isTaken(slot)).toBe(false);
        }
      }
      expect(table.size).toBe(known.size);
      expect(new Set([...known.values()].map(({ slot }) => slot)).size).toBe(known.size);
      for (const { key } of steps) expect(table.find(key)).toBe(known.get(key)?.slot ?? -1);
      for (const { slot, word } of known.values()) expect(table.words(slot)[table.at(slot) + 1]).toBe(word);
    });
    fc.assert(property, { numRuns: 200, seed: 3 });
  });

  it('uses the slots of keys that have gone', () => {
    const table = new KeyTable(1);
    for (let round = 0; round < 5; round += 1) {
      const slots = Array.from({ length: 2_000 }, (_, index) =>
        table.slot(`${String(round)}/${String(index)}`),
      );
      expect(table.slots).toBe(2_000);
      for (const slot of slots) table.remove(slot);
      expect(table.size).toBe(0);
    }
  });
});
