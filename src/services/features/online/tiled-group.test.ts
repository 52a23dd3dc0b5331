import { expect, it } from 'vitest';
import {
  defineApp,
  distinct,
  features,
  id,
  key,
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
