import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { byTime } from '../../define/index.ts';
import { entityCodes, unknownRows } from './known-entities.ts';
import { DAY_MS, describePeriod, periodsOf, testDay } from './periods.ts';

const at = (text: string): number => Date.parse(`${text}Z`);

describe('periodsOf', () => {
  it('ends with the last whole day whose labels have matured', () => {
    const split = byTime({ train: '7d', delay: '7d', test: '7d' });
    const expected = {
      trainStart: at('2018-07-25'),
      trainEnd: at('2018-08-01'),
      testStart: at('2018-08-08'),
      testEnd: at('2018-08-15'),
    };
    expect(periodsOf(split, 7 * DAY_MS, at('2018-08-22'))).toEqual(expected);
    expect(periodsOf(split, 7 * DAY_MS, at('2018-08-22T23:59:59.999'))).toEqual(expected);
    expect(periodsOf(split, 7 * DAY_MS, at('2018-08-21T23:59:59.999')).testEnd).toBe(at('2018-08-14'));
  });

  it('lies side by side, whatever the lengths', () => {
    const hours = fc.integer({ min: 1, max: 1_000 });
    fc.assert(
      fc.property(
        hours,
        hours,
        hours,
        hours,
        fc.integer({ min: 1e12, max: 2e12 }),
        (train, delay, test, align, asOf) => {
          const split = byTime({
            train: `${train}h`,
            delay: `${delay}h`,
            test: `${test}h`,
            align: `${align}h`,
          });
          const matures = 3 * DAY_MS;
          const { trainStart, trainEnd, testStart, testEnd } = periodsOf(split, matures, asOf);
          expect([trainEnd - trainStart, testStart - trainEnd, testEnd - testStart]).toEqual([
            split.trainMs,
            split.delayMs,
            split.testMs,
          ]);
          expect(testEnd % split.alignMs).toBe(0);
          expect(testEnd).toBeLessThanOrEqual(asOf - matures);
          expect(testEnd + split.alignMs).toBeGreaterThan(asOf - matures);
        },
      ),
    );
  });

  it('is written for people', () => {
    expect(describePeriod(at('2018-07-25'), at('2018-08-01'))).toBe('2018-07-25 .. 2018-08-01');
    expect(describePeriod(at('2018-07-25T12:30'), at('2018-08-01'))).toBe(
      '2018-07-25T12:30Z .. 2018-08-01T00:00Z',
    );
  });
});

describe('unknownRows', () => {
  const split = byTime({ train: '7d', delay: '7d', test: '7d' });
  const periods = periodsOf(split, 7 * DAY_MS, 28 * DAY_MS);

  it('is the published protocol when all periods are a week', () => {
    const event = fc.record({
      time: fc.integer({ min: periods.trainStart, max: periods.testEnd - 1 }),
      entity: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
      positive: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const day = ({ time }: { time: number }): number => Math.floor((time - periods.trainStart) / DAY_MS);
        // As the book's code has it: the frauds of the training week, then day by day those of one more day.
        const known = new Set(
          events.filter((item) => item.positive && day(item) < 7).map((item) => item.entity),
        );
        const expected: typeof events = [];
        for (let test = 0; test < 7; test += 1) {
          for (const item of events) if (item.positive && day(item) === 7 + test - 1) known.add(item.entity);
          expected.push(...events.filter((item) => day(item) === 14 + test && !known.has(item.entity)));
        }
        const tested = events.filter((item) => item.time >= periods.testStart);
        const first = new Map<string, number>();
        for (const item of events) {
          if (!item.positive || item.time >= periods.testEnd - split.delayMs) continue;
          first.set(item.entity, Math.min(item.time, first.get(item.entity) ?? Number.POSITIVE_INFINITY));
        }
        const rows = unknownRows(
          tested.map(({ time }) => time),
          tested.map(({ entity }) => entity),
          first,
          periods,
        );
        const byDay = (items: typeof events): typeof events => items.toSorted((a, b) => day(a) - day(b));
        expect(byDay([...rows].map((row) => tested[row] as (typeof events)[0]))).toEqual(expected);
      }),
    );
  });

  it('leaves an entity out from the first test day that starts after its label became known', () => {
    const short = { trainStart: 0, trainEnd: 2 * DAY_MS, testStart: 3 * DAY_MS, testEnd: 6 * DAY_MS };
    const days = [3, 4, 5].map((day) => day * DAY_MS + 1);
    const keptFrom = (positive: number): number[] => [
      ...unknownRows(days, ['a', 'a', 'a'], new Map([['a', positive]]), short),
    ];
    expect(keptFrom(2 * DAY_MS - 1)).toEqual([]);
    expect(keptFrom(2 * DAY_MS)).toEqual([0]);
    expect(keptFrom(3 * DAY_MS)).toEqual([0, 1]);
    expect(keptFrom(4 * DAY_MS)).toEqual([0, 1, 2]);
    expect([...unknownRows(days, ['a', 'b', 'a'], new Map([['a', 0]]), short)]).toEqual([1]);
  });
});

describe('days and entities', () => {
  it('are numbered from the start of the test period and by name', () => {
    const periods = { trainStart: 0, trainEnd: DAY_MS, testStart: 2 * DAY_MS, testEnd: 4 * DAY_MS };
    expect([2 * DAY_MS, 3 * DAY_MS - 1, 3 * DAY_MS].map((time) => testDay(time, periods))).toEqual([0, 0, 1]);
    expect([...entityCodes(['b', 'a', 'b', 'c'])]).toEqual([1, 0, 1, 2]);
    expect([...entityCodes([])]).toEqual([]);
  });
});
