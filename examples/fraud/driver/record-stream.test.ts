import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { REPORT_DELAY_MS, type Transaction } from '../transaction.ts';
import {
  type DisorderOptions,
  type OutgoingRecord,
  recordText,
  RecordStream,
  REPORTS,
  TRANSACTIONS,
} from './record-stream.ts';

const START = Date.UTC(2018, 6, 1);

/** Transactions a few seconds apart, about one in eight a fraud. */
const transactions = fc
  .array(fc.record({ gap: fc.integer({ min: 0, max: 90 }), fraud: fc.integer({ min: 0, max: 7 }) }), {
    maxLength: 80,
  })
  .map((rows) => {
    let time = START;
    return rows.map(({ gap, fraud }, id): Transaction => {
      time += gap * 1_000;
      return { id, time, customer: id % 5, terminal: id % 3, cents: 100, scenario: fraud === 0 ? 2 : 0 };
    });
  });

function send(list: readonly Transaction[], options: DisorderOptions): OutgoingRecord[] {
  const stream = new RecordStream(options);
  const sent: OutgoingRecord[] = [];
  for (const transaction of list) {
    stream.add(transaction);
    sent.push(...stream.takeUntil(transaction.time));
  }
  return [...sent, ...stream.takeRest()];
}

function timeOf({ source, transaction }: OutgoingRecord): number {
  return source === REPORTS ? transaction.time + REPORT_DELAY_MS : transaction.time;
}

describe('RecordStream', () => {
  it('in order: everything once, by time, reports six days after their frauds', () => {
    fc.assert(
      fc.property(transactions, (list) => {
        const sent = send(list, { shuffleMs: 0, duplicate: 0, seed: 0 });
        const frauds = list.filter(({ scenario }) => scenario !== 0);
        expect(sent).toHaveLength(list.length + frauds.length);
        const times = sent.map(timeOf);
        expect(times).toEqual([...times].sort((a, b) => a - b));
        const ids = sent
          .filter(({ source }) => source === TRANSACTIONS)
          .map(({ transaction }) => transaction.id);
        expect(ids).toEqual(list.map(({ id }) => id));
        expect(sent.every(({ copy }) => !copy)).toBe(true);
      }),
    );
  });

  it('out of order: no record is sent before its time or later than allowed', () => {
    fc.assert(
      fc.property(
        transactions,
        fc.integer({ min: 1, max: 60_000 }),
        fc.integer(),
        (list, shuffleMs, seed) => {
          const sent = send(list, { shuffleMs, duplicate: 0, seed });
          let latest = -Infinity;
          for (const record of sent) {
            latest = Math.max(latest, timeOf(record));
            expect(record.sendAt).toBeGreaterThanOrEqual(timeOf(record));
            expect(latest - timeOf(record)).toBeLessThan(shuffleMs);
          }
          const texts = new Set(sent.map(recordText));
          expect(texts.size).toBe(sent.length);
          expect(send(list, { shuffleMs, duplicate: 0, seed })).toEqual(sent);
        },
      ),
    );
  });

  it('everything up to `sendAt - shuffle` was sent when a record is', () => {
    fc.assert(
      fc.property(transactions, fc.integer(), (list, seed) => {
        const shuffleMs = 60_000;
        const sent = send(list, { shuffleMs, duplicate: 0.2, seed });
        sent.forEach(({ sendAt }, index) => {
          const later = sent.slice(index + 1).filter(({ copy }) => !copy);
          expect(later.every((record) => timeOf(record) > sendAt - shuffleMs)).toBe(true);
        });
      }),
    );
  });

  it('copies: equal texts, each after its original, about as many as asked for', () => {
    const list = Array.from({ length: 5_000 }, (_, id): Transaction => ({
      id,
      time: START + id * 1_000,
      customer: 1,
      terminal: 1,
      cents: 1,
      scenario: 0,
    }));
    const sent = send(list, { shuffleMs: 0, duplicate: 0.1, seed: 1 });
    const seen = new Set<string>();
    for (const record of sent) {
      expect(seen.has(recordText(record))).toBe(record.copy);
      seen.add(recordText(record));
    }
    const copies = sent.length - list.length;
    expect(copies).toBeGreaterThan(400);
    expect(copies).toBeLessThan(600);
  });

  it('refuses options out of bounds', () => {
    expect(() => new RecordStream({ shuffleMs: -1, duplicate: 0, seed: 0 })).toThrow(RangeError);
    expect(() => new RecordStream({ shuffleMs: 0, duplicate: 2, seed: 0 })).toThrow(RangeError);
  });
});
