import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ExpiringIndex } from './expiring-index.ts';
import { SectionReader, SectionWriter } from './sections.ts';

const HORIZON = 600;
const texts = fc.oneof(
  fc.string({ maxLength: 2 }),
  fc.integer({ min: 0, max: 30 }).map((index) => `id-${String(index)}`),
  fc.integer({ min: 0, max: 5 }).map((index) => `客户-${String(index)}`),
);

function reloaded(index: ExpiringIndex): ExpiringIndex {
  const writer = new SectionWriter();
  index.save(writer);
  const loaded = new ExpiringIndex(2, HORIZON);
  loaded.load(new SectionReader(writer.finish()));
  return loaded;
}

describe('ExpiringIndex', () => {
  it('never forgets what is not behind, and never takes one text for another', () => {
    const step = fc.record({
      text: texts,
      wait: fc.integer({ min: 0, max: 60 }),
      late: fc.integer({ min: 0, max: 400 }),
      what: fc.constantFrom('insert', 'insert', 'insert', 'sweep', 'sweepAll', 'reload'),
      entries: fc.integer({ min: 1, max: 5 }),
    });
    const property = fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      let index = new ExpiringIndex(2, HORIZON);
      const known = new Map<string, { number: number; time: number }>();
      let now = 0;
      let before = Number.NEGATIVE_INFINITY;
      for (const [number, { text, wait, late, what, entries }] of steps.entries()) {
        now += wait;
        if (what === 'reload') index = reloaded(index);
        else if (what === 'insert') {
          const isFound = index.locate(text);
          const entry = known.get(text);
          if (isFound) expect(index.get(1)).toBe(entry?.number);
          else {
            expect(entry === undefined || entry.time < before).toBe(true);
            index.insert(text, now - late);
            expect([index.get(0), index.get(1)]).toEqual([0, 0]);
            index.set(1, number);
            known.set(text, { number, time: now - late });
          }
        } else {
          before = Math.max(before, now - HORIZON);
          if (what === 'sweep') expect(index.sweep(before, entries)).toBeLessThanOrEqual(entries);
          else index.sweep(before, Number.POSITIVE_INFINITY);
        }
      }
      for (const [text, entry] of known) {
        const isFound = index.locate(text);
        if (isFound) expect(index.get(1)).toBe(entry.number);
        else expect(entry.time).toBeLessThan(before);
      }
      index.sweep(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
      expect(index.size).toBe(0);
    });
    fc.assert(property, { numRuns: 300, seed: 3 });
  });

  it('gives memory back, a few entries at a time', () => {
    const index = new ExpiringIndex(2, HORIZON);
    const sizes: number[] = [];
    for (let round = 0; round < 6; round += 1) {
      for (let number = 0; number < 30_000; number += 1) {
        const text = `${String(round)}/${String(number)}`;
        index.insert(text, round * HORIZON * 2 + number / 100);
        if (number % 100 === 0) index.sweep(round * HORIZON * 2 - HORIZON, 200);
      }
      expect(index.size).toBe(30_000);
      sizes.push(index.bytes);
    }
    expect(Math.max(...sizes.slice(2))).toBeLessThanOrEqual((sizes[1] ?? 0) * 1.1);
    expect(index.locate('5/29999')).toBe(true);
    expect(index.locate('4/29999')).toBe(false);
  });

  it('saves what it was, whatever is forgotten and remembered before the bytes are put together', () => {
    const index = new ExpiringIndex(2, HORIZON);
    const idsOf = (from: number): string[] =>
      Array.from({ length: 50 }, (_, id) => `id-${String(from + id)}`);
    for (const [number, id] of idsOf(0).entries()) {
      index.insert(id, number);
      index.set(1, number);
    }
    const writer = new SectionWriter();
    index.save(writer);
    index.sweep(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
    // As many of the same length: they would lie where the others were.
    for (const id of idsOf(1_000)) {
      index.insert(id, HORIZON);
      index.set(1, -1);
    }
    const loaded = new ExpiringIndex(2, HORIZON);
    loaded.load(new SectionReader(writer.finish()));
    const found = idsOf(0).map((id) => (loaded.locate(id) ? loaded.get(1) : undefined));
    expect(found).toEqual(idsOf(0).map((_, number) => number));
    expect(idsOf(1_000).some((id) => loaded.locate(id))).toBe(false);
  });
});
