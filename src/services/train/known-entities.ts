import { DAY_MS, type Periods, testDay } from './periods.ts';

/**
 * Rows of the test period whose entity nobody knew as positive before that day, as a bank blocks the cards it
 * knows.
 *
 * Before a test day the labels of all events are known that are older than the delay. So an entity is left
 * out from the first test day that starts later than its first positive event plus the delay: from the start
 * when that event lies in the training period, later when it lies in the delay or in the test period itself.
 * With periods of 7 days this is the protocol of the Fraud Detection Handbook: the positives of the training
 * week, and from test day i on also those of the day (training start + 7 + i - 1).
 *
 * @param times event time of each test row
 * @param entities entity of each test row
 * @param firstPositive first positive event since the start of the training period, by entity
 */
export function unknownRows(
  times: ArrayLike<number>,
  entities: readonly string[],
  firstPositive: ReadonlyMap<string, number>,
  periods: Periods,
): Uint32Array {
  const delayMs = periods.testStart - periods.trainEnd;
  const kept = new Uint32Array(times.length);
  let count = 0;
  for (let row = 0; row < times.length; row += 1) {
    const dayStart = periods.testStart + testDay(times[row] as number, periods) * DAY_MS;
    const positive = firstPositive.get(entities[row] as string);
    if (positive !== undefined && positive < dayStart - delayMs) continue;
    kept[count] = row;
    count += 1;
  }
  return kept.subarray(0, count);
}

/**
 * A number for each entity, in the order of their names, so that the numbers depend on the set of entities
 * alone.
 */
export function entityCodes(entities: readonly string[]): Uint32Array {
  const codes = new Map([...new Set(entities)].sort().map((entity, code) => [entity, code]));
  return Uint32Array.from(entities, (entity) => codes.get(entity) ?? 0);
}
