import { describe, expect, it } from 'vitest';
import {
  count,
  defineApp,
  distinct,
  features,
  id,
  key,
  last,
  max,
  number,
  percentile,
  source,
  timestamp,
  topK,
} from '../../../define/index.ts';
import { compilePlan } from '../plan.ts';
import { TiledGroup } from './tiled-group.ts';

const clicks = source('clicks', {
  id: 'clickId',
  time: 'at',
  key: 'userId',
  fields: { clickId: id(), at: timestamp(), userId: key(), depth: number() },
});
const group = features('user', { from: clicks, key: 'userId' }, (c) => ({
  depths: distinct(c.depth, { exactUpTo: 20 }).over('1h'),
  often: topK(c.depth, 2).over('1h'),
  usual: percentile(c.depth, 0.5).over('1h'),
}));

it('a key that goes on for ever takes no more memory than its windows need', () => {
  const app = defineApp('clicks', { decisions: {}, sources: [clicks] });
  const plan = compilePlan({ ...app, groups: new Map([[group.name, group]]) });
  const [own] = plan.groups;
  if (own === undefined) throw new Error('no group');
  const state = new TiledGroup(own);
  const sizes: number[] = [];
  for (let minute = 0; minute < 4_000; minute += 1) {
    for (let second = 0; second < 60; second += 2) {
      const time = minute * 60_000 + second * 1_000;
      const values = { clickId: '', at: time, userId: 'u', depth: 1 + ((minute + second * 7) % 30) };
      state.add('u', time, time, values, time + 1);
    }
    if (minute % 1_000 === 999) sizes.push(state.size.bytes);
  }
  expect(state.size.events).toBeLessThanOrEqual(128);
  expect(sizes.slice(1)).toEqual([sizes[0], sizes[0], sizes[0]]);
  const output: (number | null)[] = [];
  const nobody = { values: {}, sequence: Number.POSITIVE_INFINITY, time: 0, own: false };
  state.read('u', 4_000 * 60_000, nobody, output);
  // 30 a minute of 30 depths: each of them 60 times in the hour.
  expect(output.slice(1, 3)).toEqual([60, 60]);
  expect(output[0]).toBe(30);
  expect(output[3]).toBeCloseTo(15, 0);
});

const windows = features('windows', { from: clicks, key: 'userId' }, (c) => ({
  clicks: count().over('1h', '1d'),
  deepest: max(c.depth).over('1h', '1d'),
  latest: last(c.depth).over('1d'),
  depths: distinct(c.depth).over('1h'),
}));
const ever = features('ever', { from: clicks, key: 'userId' }, () => ({
  clicks: count().over('1h', 'ever'),
}));

function stateOf(definition: typeof windows | typeof ever): TiledGroup {
  const app = defineApp('clicks', { decisions: {}, sources: [clicks] });
  const [own] = compilePlan({ ...app, groups: new Map([[definition.name, definition]]) }).groups;
  if (own === undefined) throw new Error('no group');
  return new TiledGroup(own);
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const nobody = { values: {}, sequence: Number.POSITIVE_INFINITY, time: 0, own: false };

/** Each key comes five times within an hour or so. */
function visit(state: TiledGroup, day: number, keys: number): void {
  for (let round = 0; round < 5; round += 1) {
    for (let index = 0; index < keys; index += 1) {
      const time = day * DAY + round * 15 * 60_000 + index;
      const values = { clickId: '', at: time, userId: '', depth: round * 3 };
      state.add(`${String(day)}/${String(index)}`, time, time, values, time + 1);
    }
  }
}

describe('keys that nobody can see any more', () => {
  it('give back their slots and blocks, a few at a time, and those that come use them', () => {
    const state = stateOf(windows);
    const sizes: number[] = [];
    for (let day = 0; day < 16; day += 2) {
      visit(state, day, 2_000);
      sizes.push(state.size.bytes);
      // In pieces of 100 keys, as upkeep does it.
      for (let piece = 0; piece < 20; piece += 1) state.sweep((day + 2) * DAY, 100);
      expect(state.size).toMatchObject({ keys: 0, events: 0 });
    }
    // How evenly keys spread over segments of the table differs from day to day.
    expect(Math.max(...sizes)).toBeLessThan(1.1 * Math.min(...sizes));
  });

  it('are read like keys that never came', () => {
    const state = stateOf(windows);
    visit(state, 0, 10);
    const read = (key: string, asOf: number): (number | null)[] => {
      const output: (number | null)[] = [];
      state.read(key, asOf, nobody, output);
      return output;
    };
    expect(read('0/3', 2 * HOUR)).toEqual([1, 5, 12, 12, 12, 1]);
    const never = read('nobody', 2 * DAY);
    expect(read('0/3', 2 * DAY)).toEqual(never);
    state.sweep(2 * DAY, 10);
    expect(state.size.keys).toBe(0);
    expect(read('0/3', 2 * DAY)).toEqual(never);
    expect(never).toEqual([0, 0, null, null, null, 0]);
  });

  it('stay while a window sees them for ever', () => {
    const state = stateOf(ever);
    visit(state, 0, 100);
    state.sweep(10_000 * DAY, 1_000);
    expect(state.size.keys).toBe(100);
    const output: (number | null)[] = [];
    state.read('0/7', 10_000 * DAY, nobody, output);
    expect(output).toEqual([0, 5]);
  });
});
