import { describe, expect, it } from 'vitest';
import type { Event } from '../../../contract/index.ts';
import {
  count,
  decision,
  defineApp,
  defineModel,
  features,
  id,
  key,
  label,
  logistic,
  source,
  timestamp,
  vector,
} from '../../../define/index.ts';
import { compilePlan } from '../plan.ts';
import { OnlineState } from './online-state.ts';
import { SectionReader, SectionWriter } from './sections.ts';
import { Shard } from './shard.ts';
import { Superseded } from './superseded.ts';

const orders = source('orders', {
  id: 'orderId',
  time: 'at',
  key: 'customerId',
  corrections: true,
  fields: { orderId: id(), at: timestamp(), customerId: key() },
});
const returns = source('returns', {
  id: 'returnId',
  time: 'at',
  key: 'orderId',
  fields: { returnId: id(), at: timestamp(), orderId: key() },
});
const customer = features('customer', { from: orders, key: 'customerId', hop: '1m' }, () => ({
  n: count().over('1d'),
}));
const model = defineModel('m', {
  vector: vector('basket', { candidate: orders, customer }),
  label: label('returned', { of: orders, from: returns, on: 'orderId', maturesAfter: '1d' }),
  trainer: logistic(),
});
const plan = compilePlan(
  defineApp('shop', { decisions: { d: decision('d', { model, subject: 'customerId' }) } }),
);
const partitions = new Map([
  ['orders', 1],
  ['returns', 1],
]);

function order(orderId: string, at: number, revision = 0): Event {
  const event = { id: orderId, time: at, key: 'c', values: { orderId, at, customerId: 'c' } };
  return revision === 0 ? event : { ...event, revision };
}

function newState(): OnlineState {
  return new OnlineState(plan, partitions, { readBehindMs: 1_000_000, statePartitions: 1 });
}

function countAt(state: OnlineState, asOf: number): number | null | undefined {
  const basket = plan.vectors.get('basket');
  if (basket === undefined) throw new Error('basket');
  return state.read(basket, order('asked', asOf), asOf).values[0];
}

describe('what corrections have replaced', () => {
  it('is known from a correction on, also after it was saved, until there is too much of it', () => {
    const seen = (log: Superseded, from: number): number[] => {
      const places: number[] = [];
      log.visitFrom(from, (_, place) => places.push(place));
      return places;
    };
    const log = new Superseded(200);
    for (let offset = 0; offset < 200; offset += 1) log.note(offset * 2, 5, offset);
    expect(log.since).toBe(0);
    expect(seen(log, 394)).toEqual([197, 198, 199]);
    const writer = new SectionWriter();
    log.save(writer);
    const loaded = new Superseded(200);
    loaded.load(new SectionReader(writer.finish()));
    for (const one of [log, loaded]) {
      one.note(400, 5, 200);
      expect(one.since).toBe(199);
      expect(seen(one, 0)).toEqual(Array.from({ length: 101 }, (_, index) => index + 100));
    }
  });

  it('is taken out of a state partition that was saved before, which is built anew when it is not known any more', () => {
    const state = newState();
    const shard = state.attach(new Shard(plan, 0));
    state.advance(2_000);
    for (let serial = 0; serial < 3; serial += 1)
      state.apply('orders', 0, serial, order(String(serial), 1_000));
    const saved = shard.save(state.core.allPositions(), state.clock, 1).finish();
    let offset = 3;
    state.apply('orders', 0, offset, order('1', 1_500, 1));
    const { values } = order('2', 0);
    state.apply('orders', 0, offset + 1, {
      ...order('2', Number.NEGATIVE_INFINITY, 1),
      values,
      deleted: true,
    });
    // Events 0 and 1, and the one that is asked about.
    expect(countAt(state, 2_000)).toBe(3);
    const load = (): Shard => {
      const read = new Shard(plan, 0);
      expect(read.load(saved)).toBe(true);
      return read;
    };
    const stale = load();
    state.detach(0);
    expect(state.attach(stale)).toBe(stale);
    expect(stale.gaps).toEqual([{ source: 'orders', partition: 0, from: 3, to: 5 }]);
    state.catchUp([stale], 'orders', 0, 3, order('1', 1_500, 1));
    stale.gaps = [];
    expect(countAt(state, 2_000)).toBe(3);

    // So many corrections later nobody knows what the snapshot has too much.
    offset = 5;
    for (let revision = 2; revision < 66_000; revision += 1, offset += 1)
      state.apply('orders', 0, offset, order('1', 1_500, revision));
    state.detach(0);
    const late = load();
    const attached = state.attach(late);
    expect(attached).not.toBe(late);
    expect(attached.gaps).toEqual([{ source: 'orders', partition: 0, from: 0, to: offset }]);
  });
});
