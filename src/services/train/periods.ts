import type { ModelSplit, TimeSplit } from '../../define/index.ts';

/** A day, in milliseconds. */
export const DAY_MS = 86_400_000;

/**
 * The periods of a split, in milliseconds since 1970 UTC; each includes its start and excludes its end. In cross-validation both are
 * the same: every row is learnt from and judged by.
 */
export interface Periods {
  readonly trainStart: number;
  readonly trainEnd: number;
  readonly testStart: number;
  readonly testEnd: number;
}

/**
 * Where the periods of a split lie at `asOf`. By time: the test period ends at the last multiple of `alignMs` whose
 * labels have all matured by then; the delay lies before the test period and the training period before the
 * delay. By folds: both periods reach from `withinMs` before `asOf` to the last event whose label has matured.
 */
export function periodsOf(split: ModelSplit, maturesAfterMs: number, asOf: number): Periods {
  return split.kind === 'time'
    ? periodsInTime(split, maturesAfterMs, asOf)
    : periodOfFolds(asOf - split.withinMs, asOf - maturesAfterMs + 1);
}

function periodOfFolds(start: number, end: number): Periods {
  return { trainStart: start, trainEnd: end, testStart: start, testEnd: end };
}

function periodsInTime(split: TimeSplit, maturesAfterMs: number, asOf: number): Periods {
  const testEnd = Math.floor((asOf - maturesAfterMs) / split.alignMs) * split.alignMs;
  const testStart = testEnd - split.testMs;
  const trainEnd = testStart - split.delayMs;
  return { trainStart: trainEnd - split.trainMs, trainEnd, testStart, testEnd };
}

/** Days of 24 hours since the start of the test period: those of UTC when the split aligns to whole days. */
export function testDay(time: number, periods: Periods): number {
  return Math.floor((time - periods.testStart) / DAY_MS);
}

/** A period for people: `2018-07-25 .. 2018-08-01`, with the time of day where one is not midnight. */
export function describePeriod(start: number, end: number): string {
  const whole = start % DAY_MS === 0 && end % DAY_MS === 0;
  const [from, to] = [start, end].map((time) => {
    const text = new Date(time).toISOString();
    return whole ? text.slice(0, 10) : `${text.slice(0, 16)}Z`;
  });
  return `${from} .. ${to}`;
}
