import { describe, expect, it } from 'vitest';
import {
  boolean,
  count,
  defineModel,
  features,
  id,
  key,
  label,
  logistic,
  mean,
  money,
  number,
  source,
  sum,
  text,
  timestamp,
  vector,
} from './index.ts';

const orders = source('orders', {
  id: 'orderId',
  time: 'at',
  key: 'customerId',
  fields: {
    orderId: id(),
    at: timestamp(),
    customerId: key(),
    shopId: key(),
    total: money('EUR'),
    note: text({ optional: true }),
    gift: boolean(),
    weight: number(),
  },
});
const returns = source('returns', {
  id: 'returnId',
  time: 'at',
  key: 'orderId',
  fields: { returnId: id(), at: timestamp(), orderId: key() },
});
const returned = label('returned', { of: orders, from: returns, on: 'orderId', maturesAfter: '14d' });

describe('definitions', () => {
  it('names features by aggregate and window and keeps their order', () => {
    const group = features('customer', { from: orders, key: 'customerId' }, (o) => ({
      n: count().over('1h', '30d'),
      spend: sum(o.total).over('1d'),
    }));
    expect(group.features.map((item) => [item.name, item.windowMs, item.hopMs, item.decimals])).toEqual([
      ['n_1h', 3_600_000, 60_000, 0],
      ['n_30d', 2_592_000_000, 43_200_000, 0],
      ['spend_1d', 86_400_000, 1_200_000, 2],
    ]);
  });

  it('gives equal definitions equal hashes and different ones different hashes', () => {
    const make = (window: '1d' | '2d') =>
      features('g', { from: orders, key: 'customerId' }, (o) => ({ m: mean(o.total).over(window) })).hash;
    expect(make('1d')).toBe(make('1d'));
    expect(make('1d')).not.toBe(make('2d'));
  });

  it('keeps money literals in the smallest unit', () => {
    const group = features(
      'g',
      { from: orders, key: 'customerId', where: (o) => o.total.greaterThan(12.5) },
      () => ({ n: count().over('1d') }),
    );
    expect(JSON.stringify(group.where)).toContain('"value":1250');
    expect(() =>
      features('g', { from: orders, key: 'customerId', where: (o) => o.total.greaterThan(0.001) }, () => ({
        n: count().over('1d'),
      })),
    ).toThrow(/2 decimals/);
  });

  it('refuses windows that tiles cannot cover and hops that are too long', () => {
    const make = (window: '10s' | '1h', hop?: '5m') =>
      features('g', { from: orders, key: 'customerId', ...(hop && { hop }) }, () => ({
        n: count().over(window),
      }));
    expect(() => make('10s')).toThrow(/exact/);
    expect(() => make('1h', '5m')).toThrow(/1\/60/);
  });

  it('refuses a right-closed window of tiles', () => {
    expect(() =>
      features('g', { from: orders, key: 'customerId', closed: 'right' }, () => ({ n: count().over('1d') })),
    ).toThrow(/exact/);
  });
});

describe('definitions that leak or mislead do not compile', () => {
  it('is held by the compiler', () => {
    // Never called: each line must be a type error, which the type check of the tests proves.
    const rejected = (): void => {
      // @ts-expect-error a label is not a stream of features: only label.matured() is
      features('g', { from: returned, key: 'customerId' }, () => ({ n: count().over('1d') }));
      // @ts-expect-error the field does not exist
      features('g', { from: orders, key: 'nobody' }, () => ({ n: count().over('1d') }));
      // @ts-expect-error a number cannot be the key
      features('g', { from: orders, key: 'weight' }, () => ({ n: count().over('1d') }));
      // @ts-expect-error the field does not exist
      features('g', { from: orders, key: 'shopId' }, (o) => ({ n: sum(o.nothing).over('1d') }));
      // @ts-expect-error text has no mean
      features('g', { from: orders, key: 'shopId' }, (o) => ({ n: mean(o.note).over('1d') }));
      // @ts-expect-error the label is not a field before it has matured
      features('g', { from: orders, key: 'shopId' }, (o) => ({ n: mean(o.returned).over('1d') }));
      // @ts-expect-error a label cannot be a part of a vector
      vector('v', { candidate: orders, returned });
      // @ts-expect-error money and plain numbers are different
      vector('v', { candidate: orders, x: (c) => c.total.plus(c.weight) });
      // @ts-expect-error text is no model input
      vector('v', { candidate: orders, x: (c) => c.note });
      // @ts-expect-error the time field is not a timestamp
      source('s', { id: 'a', time: 'b', key: 'a', fields: { a: id(), b: number() } });
      const v = vector('v', { candidate: returns, x: (c) => c.at.toNumber() });
      // @ts-expect-error vector and label are of different sources
      defineModel('m', { vector: v, label: returned, trainer: logistic() });
    };
    expect(typeof rejected).toBe('function');
  });

  it('lets a matured label be a feature', () => {
    const shop = features('shop', { from: returned.matured(), key: 'shopId', hop: 'exact' }, (o) => ({
      risk: mean(o.returned).over('30d').orElse(0),
    }));
    expect(shop.from.matured?.name).toBe('returned');
    expect(shop.features[0]?.fallback).toBe(0);
  });
});
