import { expect, it } from 'vitest';
import { compileEventReader, type Event } from '../../../contract/index.ts';
import {
  count,
  decision,
  defineApp,
  defineModel,
  features,
  id,
  key,
  label,
  last,
  logistic,
  number,
  source,
  sum,
  timestamp,
  vector,
} from '../../../define/index.ts';
import { compilePlan } from '../plan.ts';
import { SLICE_EVENTS_MAX } from './approach.ts';
import { OnlineState } from './online-state.ts';
import { Shard } from './shard.ts';

const clicks = source('clicks', {
  id: 'clickId',
  time: 'at',
  key: 'userId',
  fields: { clickId: id(), at: timestamp(), userId: key(), pageId: key(), depth: number() },
});
const buys = source('buys', {
  id: 'buyId',
  time: 'at',
  key: 'clickId',
  fields: { buyId: id(), at: timestamp(), clickId: key() },
});
const bought = label('bought', { of: clicks, from: buys, on: 'clickId', maturesAfter: '1h' });
const user = features('user', { from: clicks, key: 'userId' }, (c) => ({
  n: count().over('1h', '1d'),
  depth: sum(c.depth).over('1d'),
  latest: last(c.depth).over('1h'),
}));
const page = features('page', { from: clicks, key: 'pageId' }, () => ({ n: count().over('1d') }));
const exact = features('exact', { from: clicks, key: 'userId', hop: 'exact' }, () => ({
  n: count().over('1d'),
}));
const seen = vector('seen', { candidate: clicks, user, page, exact });
const model = defineModel('m', { vector: seen, label: bought, trainer: logistic() });
const plan = compilePlan(
  defineApp('shop', { decisions: { d: decision('d', { model, subject: 'userId' }) } }),
);

const START = Date.UTC(2026, 0, 1);
const STATE_PARTITIONS = 4;

/** Three slices and a part of one, with ids that come again and records that are no events. */
function events(): (Event | undefined)[] {
  const read = compileEventReader(clicks);
  return Array.from({ length: SLICE_EVENTS_MAX * 3 + 17 }, (_, index) => {
    if (index % 23 === 5) return undefined;
    const result = read({
      clickId: `click-${String(index % 29 === 0 ? index >> 1 : index)}`,
      at: START + index * 20_000 - (index % 13 === 0 ? 3_600_000 : 0),
      userId: `user-${String((index * 7) % 11)}`,
      pageId: `page-${String(index % 3)}`,
      depth: index,
    });
    if (!('event' in result)) throw new Error('a record is no event');
    return result.event;
  });
}

function makeState(): OnlineState {
  const partitions = new Map([...plan.sources.keys()].map((name) => [name, 2]));
  const state = new OnlineState(plan, partitions, { readBehindMs: 0, statePartitions: STATE_PARTITIONS });
  // One of them is another's.
  for (let partition = 1; partition < STATE_PARTITIONS; partition += 1)
    state.attach(new Shard(plan, partition));
  return state;
}

it.each([true, false])(
  'records applied in slices give what they give one by one (event clock: %s)',
  (isEventClock) => {
    const all = events();
    const sliced = makeState();
    const single = makeState();
    const end = START + 86_400_000;
    for (const state of [sliced, single]) if (!isEventClock) state.advance(START + 500_000);
    // In two deliveries: the second finds keys that the first made.
    for (const [from, to] of [
      [0, 100],
      [100, all.length],
    ] as const)
      sliced.applyAll('clicks', 1, from, all.slice(from, to), isEventClock);
    for (const [offset, event] of all.entries()) {
      if (event !== undefined && isEventClock) single.advance(event.time);
      if (event === undefined) single.skip('clicks', 1, offset);
      else single.apply('clicks', 1, offset, event);
    }
    expect(sliced.positions('clicks')).toEqual([0, all.length]);
    expect(sliced.clock).toBe(single.clock);
    expect(sliced.duplicates('clicks')).toBe(single.duplicates('clicks'));
    expect(single.duplicates('clicks')).toBeGreaterThan(3);
    const vectorPlan = plan.vectors.get('seen');
    if (vectorPlan === undefined) throw new Error('no vector');
    let counted = 0;
    for (const event of all) {
      if (event === undefined) continue;
      for (const group of vectorPlan.groups.keys()) {
        const name = vectorPlan.groups[group]?.group.key ?? '';
        const value = event.values[name];
        if (value === null || sliced.partitionOf(String(value)) === 0) continue;
        const [mine, other] = [sliced, single].map((state) =>
          state.readGroups(vectorPlan, event, end, (index) => index === group),
        );
        expect(mine).toEqual(other);
        counted += mine?.[group]?.[0] ?? 0;
      }
    }
    expect(counted).toBeGreaterThan(500);
    expect(sliced.sizes().map(({ keys, events: rows }) => [keys, rows])).toEqual(
      single.sizes().map(({ keys, events: rows }) => [keys, rows]),
    );
  },
);
