import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type EveryRule, every, lastDueAt, nextDueAt, onNewLabels } from '../../define/index.ts';
import { dueByLabels, dueByTime, RETRY_PAUSE, retryAt } from './due.ts';

const HOUR_MS = 3_600_000;
const START = Date.parse('2026-03-29T00:30:00Z');

const rules: fc.Arbitrary<EveryRule> = fc.oneof(
  fc.integer({ min: 1, max: 72 }).map((hours) => every(`${hours}h`)),
  fc
    .record({ days: fc.integer({ min: 1, max: 14 }), hour: fc.integer({ min: 0, max: 23 }) })
    .map(({ days, hour }) => every(`${days}d`, { at: `${String(hour).padStart(2, '0')}:00` })),
);

/** What processes that look at these instants queue, by a table of keys as that of runs. */
function queue(rule: EveryRule, looks: readonly number[]): number[] {
  const queued = new Set<number>();
  let settled: number | null = null;
  for (const now of looks) {
    const found = dueByTime(rule, settled, now);
    if (found.due !== undefined) queued.add(found.due);
    ({ settled } = found);
  }
  return [...queued];
}

const gaps = (max: number): fc.Arbitrary<number[]> =>
  fc.array(fc.integer({ min: 1, max }), { minLength: 1, maxLength: 100 });

function instants(start: number, steps: readonly number[]): number[] {
  let now = start;
  return [start, ...steps.map((step) => (now += step))];
}

describe('due instants', () => {
  it('are each queued once when somebody looks often enough', () => {
    fc.assert(
      fc.property(rules, gaps(HOUR_MS), (rule, steps) => {
        const looks = instants(START, steps);
        const expected: number[] = [];
        const end = looks.at(-1) ?? START;
        for (let due = nextDueAt(rule, START); due <= end; due += rule.everyMs) expected.push(due);
        expect(queue(rule, looks)).toEqual(expected);
      }),
    );
  });

  it('that passed while nobody looked are made up for by one, for the newest', () => {
    fc.assert(
      fc.property(rules, fc.integer({ min: 1, max: 2_000 }), (rule, hours) => {
        const now = START + hours * HOUR_MS;
        const last = lastDueAt(rule, now);
        expect(queue(rule, [START, now, now + 1])).toEqual(last > START ? [last] : []);
      }),
    );
  });

  it('are neither skipped nor doubled by a clock that steps, nor queued before their time', () => {
    const steps = fc.array(fc.integer({ min: -400 * HOUR_MS, max: 400 * HOUR_MS }), { maxLength: 30 });
    fc.assert(
      fc.property(rules, steps, (rule, jumps) => {
        // It steps about, and then runs on as it should.
        const jumped = instants(START, jumps);
        const last = jumped.at(-1) ?? START;
        const after = instants(
          last,
          Array.from({ length: 200 }, () => rule.everyMs / 2),
        );
        const queued = queue(rule, [...jumped, ...after]);
        expect(new Set(queued).size).toBe(queued.length);
        const most = Math.max(...jumped, ...after);
        for (const due of queued) {
          expect(due).toBe(lastDueAt(rule, due));
          expect(due).toBeLessThanOrEqual(most);
        }
        // From the second instant on after the clock is right, each has its run.
        for (
          let due = nextDueAt(rule, last) + rule.everyMs;
          due <= (after.at(-1) ?? 0);
          due += rule.everyMs
        ) {
          expect(queued).toContain(due);
        }
      }),
    );
  });

  it('do not run before the rule was known, nor by two processes whose clocks differ twice', () => {
    fc.assert(
      fc.property(rules, fc.integer({ min: 1, max: HOUR_MS }), (rule, skew) => {
        const looks = instants(
          START,
          Array.from({ length: 300 }, () => HOUR_MS / 2),
        ).flatMap((now) => [now + skew, now]);
        const queued = queue(rule, looks);
        expect(queued.every((due) => due > START)).toBe(true);
        expect(queued.length).toBeLessThanOrEqual(Math.ceil((150 * HOUR_MS + skew) / rule.everyMs) + 1);
      }),
    );
  });
});

describe('new labels', () => {
  it('are counted from what the last run knew, or was asked for', () => {
    const rule = onNewLabels(100);
    expect(dueByLabels(rule, { seen: 99, known: 0, asked: null })).toEqual({ due: undefined, settled: 0 });
    expect(dueByLabels(rule, { seen: 100, known: 0, asked: null })).toEqual({ due: 100, settled: 100 });
    // It ran, and knew more than there were when it was queued.
    expect(dueByLabels(rule, { seen: 205, known: 110, asked: 100 }).due).toBeUndefined();
    expect(dueByLabels(rule, { seen: 210, known: 110, asked: 100 })).toEqual({ due: 210, settled: 210 });
    // It failed: not again before as many more came.
    expect(dueByLabels(rule, { seen: 299, known: 0, asked: 200 })).toEqual({ due: undefined, settled: 200 });
    expect(dueByLabels(rule, { seen: 300, known: 0, asked: 200 }).due).toBe(300);
  });
});

describe('runs that fail', () => {
  const failed = { state: 'failed', finishedAt: START };
  it('keep the next one away for longer and longer, up to an hour', () => {
    const pauses = [1, 2, 3, 7, 8].map((count) => (retryAt(Array(count).fill(failed), START) ?? 0) - START);
    expect(pauses).toEqual([60_000, 120_000, 240_000, RETRY_PAUSE.msMax, RETRY_PAUSE.msMax]);
  });
  it('keep none away behind one that was done, nor from an instant far ahead', () => {
    const done = { state: 'done', finishedAt: START };
    expect(retryAt([], START)).toBeNull();
    expect(retryAt([done, failed], START)).toBeNull();
    expect(retryAt([failed, done, failed], START)).toBe(START + 60_000);
    expect(retryAt([failed], START - 2 * HOUR_MS)).toBeNull();
  });
});
