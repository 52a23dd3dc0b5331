import { describe, expect, it } from 'vitest';
import {
  asOf,
  boolean,
  count,
  defineModel,
  distinct,
  embedding,
  env,
  features,
  firstK,
  gbdt,
  histogram,
  id,
  key,
  label,
  last,
  lastK,
  logistic,
  mean,
  min,
  money,
  number,
  percentile,
  pick,
  postgresTable,
  ratio,
  source,
  sum,
  text,
  timestamp,
  topK,
  variance,
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

  it('keeps a vector as it is that picks from a group which grows', () => {
    const make = (isGrown: boolean) =>
      features('customer', { from: orders, key: 'customerId' }, (o) => ({
        n: count().over('1h'),
        ...(isGrown ? { gifts: sum(o.gift).over('1d') } : {}),
        spend: sum(o.total).over('1d'),
      }));
    const [before, after] = [make(false), make(true)];
    const whole = vector('v', { candidate: orders, customer: before });
    const picked = vector('v', { candidate: orders, customer: pick(after, 'spend_1d', 'n_1h') });
    expect(after.hash).not.toBe(before.hash);
    expect(picked.hash).toBe(whole.hash);
    expect(picked.values.map(({ name }) => name)).toEqual(['customer_n_1h', 'customer_spend_1d']);
    expect(picked.values.map((value) => value.from === 'group' && value.index)).toEqual([0, 2]);
    expect(vector('v', { candidate: orders, customer: after }).hash).not.toBe(whole.hash);
    expect(vector('v', { candidate: orders, customer: pick(after, 'n_1h') }).hash).not.toBe(whole.hash);
    expect(() => pick(after, 'n_2h')).toThrow(
      "group 'customer' has no feature 'n_2h'; it has n_1h, gifts_1d",
    );
  });

  it('keeps it also where expressions are picked, whose aggregates stand in other places of the group then', () => {
    const make = (isGrown: boolean) =>
      features('customer', { from: orders, key: 'customerId' }, (o) => ({
        ...(isGrown
          ? { gifts: sum(o.gift).over('1d'), all: ratio(sum(o.gift).over('7d'), count().over('7d')) }
          : {}),
        share: ratio(sum(o.total).over('1d'), sum(o.total).over('7d')),
        ...(isGrown ? { spend: sum(o.total).over('7d') } : {}),
        n: count().over('7d'),
        each: ratio(sum(o.total).over('7d'), count().over('7d')),
      }));
    const [before, after] = [make(false), make(true)];
    const whole = vector('v', { candidate: orders, customer: before });
    const picked = vector('v', { candidate: orders, customer: pick(after, 'share', 'n_7d', 'each') });
    expect(picked.values.map(({ name }) => name)).toEqual(whole.values.map(({ name }) => name));
    expect(picked.hash).toBe(whole.hash);
    expect(pick(before, 'share', 'n_7d', 'each').hash).toBe(before.hash);
    expect(pick(after, 'each').hash).not.toBe(pick(after, 'all').hash);
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
    const make = (window: '500ms' | '1h', hop?: '5m') =>
      features('g', { from: orders, key: 'customerId', ...(hop && { hop }) }, () => ({
        n: count().over(window),
      }));
    expect(() => make('500ms')).toThrow(/exact/);
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

describe('trainers', () => {
  it('say nothing of what was not asked for, so that definitions of before keep their hash', () => {
    expect(logistic()).toEqual({ kind: 'logistic', c: 1 });
    expect(gbdt({ growth: 'depth', earlyStopping: false })).toEqual({
      kind: 'gbdt',
      rounds: 100,
      learningRate: 0.1,
      depthMax: 6,
      lambda: 1,
      hessianMin: 1,
      rowFraction: 1,
      columnFraction: 1,
    });
    expect(gbdt({ growth: 'leaf', earlyStopping: { patience: 3 } })).toMatchObject({
      growth: 'leaf',
      depthMax: 64,
      earlyStopping: { fraction: 0.2, patience: 3 },
    });
  });

  it('refuse what they cannot do', () => {
    expect(() => gbdt({ leavesMax: 8 })).toThrow("leavesMax is for growth 'leaf'");
    expect(() => gbdt({ earlyStopping: { fraction: 1 } })).toThrow(
      'earlyStopping.fraction is 0.001 to 0.9; got 1',
    );
    expect(() => logistic({ l1Ratio: 2 })).toThrow('l1Ratio is above 0 and at most 1');
    expect(() => logistic({ c: Infinity, l1Ratio: 1 })).toThrow('with a finite c; got 1 and Infinity');
    const spent = vector('spent', { candidate: orders, total: (c) => c.total });
    const shared = { vector: spent, label: returned };
    expect(() => defineModel('m', { ...shared, trainer: gbdt({ monotone: { totl: 'rising' } }) })).toThrow(
      "monotone 'totl' is no input; vector 'spent' has total",
    );
  });
});

describe('aggregates', () => {
  const group = (build: Parameters<typeof features<'g', typeof orders>>[2]) =>
    features('g', { from: orders, key: 'customerId' }, build);

  it('keep the hashes of definitions of earlier versions', () => {
    // The versions of models and state that exist: a change here makes every app rebuild and retrain.
    const old = features(
      'customer',
      { from: orders, key: 'customerId', hop: 'exact', where: (o) => o.gift.not() },
      (o) => ({
        n: count().over('1d', '7d'),
        m: mean(o.total).over('7d').orElse(0),
        w: last(o.weight).over('1h'),
      }),
    );
    expect(old.hash).toBe('sha256:b824705dc8d1feaf66a61651b736c6d6ca94f5f255de71d20d5e811347a6505b');
  });

  it('with several values are numbered from 1', () => {
    const names = group((o) => ({
      early: firstK(o.total, 2).over('1h'),
      size: histogram(o.total, [1, 2.5]).over('1h', '1d'),
    })).features.map((item) => item.name);
    expect(names).toEqual([
      'early_1h_1',
      'early_1h_2',
      'size_1h_1',
      'size_1h_2',
      'size_1h_3',
      'size_1d_1',
      'size_1d_2',
      'size_1d_3',
    ]);
  });

  it('of an embedding are of its elements', () => {
    const pages = source('pages', {
      id: 'pageId',
      time: 'at',
      key: 'pageId',
      fields: { pageId: id(), at: timestamp(), meaning: embedding(3) },
    });
    const { features: made } = features('g', { from: pages, key: 'pageId' }, (p) => ({
      taste: mean(p.meaning).over('1d'),
    }));
    expect(made.map((item) => item.name)).toEqual(['taste_1d_1', 'taste_1d_2', 'taste_1d_3']);
  });

  it('reach from one second to ever', () => {
    const made = group(() => ({ n: count().over('1s', '400d', 'ever') })).features;
    expect(made.map((item) => item.name)).toEqual(['n_1s', 'n_400d', 'n_ever']);
    expect(made.map((item) => item.hopMs)).toEqual([10, 86_400_000, 10_000_000_000_000]);
    expect(() =>
      features('g', { from: orders, key: 'customerId', hop: 'exact' }, () => ({ n: count().over('ever') })),
    ).toThrow("a window over 'ever' needs tiles");
  });

  it('are parts of expressions without being features', () => {
    const made = group((o) => ({
      n: count().over('1d'),
      share: ratio(sum(o.total).over('1h'), sum(o.total).over('1d')),
      each: sum(o.total).over('1d').value().dividedBy(count().over('1d').value()),
      same: last(o.note).over('7d').value().equals(o.note),
      quiet: asOf().toNumber().minus(last(o.at).over('7d').value().toNumber()),
    }));
    expect(made.features.map((item) => item.name)).toEqual(['n_1d', 'share', 'each', 'same', 'quiet']);
    // A sum over a day is one part, however often it is used; the count is a feature already.
    expect(made.parts?.map((item) => [item.kind, item.windowMs])).toEqual([
      ['sum', 3_600_000],
      ['sum', 86_400_000],
      ['last', 604_800_000],
      ['last', 604_800_000],
    ]);
    expect(vector('v', { candidate: orders, made }).values).toHaveLength(5);
  });

  it.each([
    ['two windows in an expression', () => group((o) => ({ x: sum(o.total).over('1h', '1d').value() }))],
    ['several values in an expression', () => group((o) => ({ x: lastK(o.total, 2).over('1h').value() }))],
    ['an expression without an aggregate', () => group((o) => ({ x: o.weight.plus(1) }))],
    ['bounds that do not ascend', () => group((o) => ({ x: histogram(o.weight, [2, 1]).over('1h') }))],
    ['bounds finer than money', () => group((o) => ({ x: histogram(o.total, [0.001]).over('1h') }))],
    ['a size of 0', () => group((o) => ({ x: firstK(o.total, 0).over('1h') }))],
    ['a quantile above 1', () => group((o) => ({ x: percentile(o.total, 50).over('1h') }))],
    [
      'a limit above the largest',
      () => group((o) => ({ x: distinct(o.note, { exactUpTo: 1e6 }).over('1h') })),
    ],
    ['a fallback that is no number', () => group((o) => ({ x: min(o.total).over('1h').orElse(Number.NaN) }))],
    [
      'an aggregate inside an aggregate',
      () => group((o) => ({ x: sum(count().over('1h').value().plus(o.weight)).over('1h') })),
    ],
    ['asOf() in a filter', () => group((o) => ({ x: count().over('1h').where(o.at.lessThan(asOf())) }))],
    [
      'two features of one name',
      () => group((o) => ({ x: count().over('1h'), x_1h: sum(o.total).over('1h').value() })),
    ],
    [
      'an aggregate in a vector',
      () => vector('v', { candidate: orders, x: () => count().over('1h').value() }),
    ],
    [
      'a candidate of another source',
      () =>
        vector('v', {
          candidate: source('visits', {
            id: 'visitId',
            time: 'at',
            key: 'customerId',
            fields: { visitId: id(), at: timestamp(), orderId: key(), customerId: key(), shopId: key() },
          }),
          g: group((o) => ({ x: last(o.shopId).over('1h').value().equals(o.shopId) })),
        }),
    ],
  ])('refuse %s', (_, define) => {
    expect(define).toThrow(TypeError);
  });

  it('of sources with corrections end somewhere, and are no outcomes', () => {
    const options = {
      id: 'orderId',
      time: 'at',
      key: 'customerId',
      fields: { orderId: id(), at: timestamp(), customerId: key() },
    } as const;
    const corrected = source('orders', { ...options, corrections: true });
    expect(source('orders', { ...options, corrections: false }).hash).toBe(source('orders', options).hash);
    expect(corrected.hash).not.toBe(source('orders', options).hash);
    const ever = (): unknown =>
      features('g', { from: corrected, key: 'customerId' }, () => ({
        n: count().over('1d'),
        share: ratio(count().over('1d'), count().over('ever')),
      }));
    expect(ever).toThrow("a window over 'ever' of 'orders', which takes corrections");
    const late = { on: 'orderId', maturesAfter: '1d' } as const;
    expect(() => label('l', { of: orders, from: corrected, ...late })).toThrow('outcomes cannot come from');
    const own = label('l', { of: corrected, from: returns, ...late });
    expect(
      features('m', { from: own.matured(), key: 'customerId', hop: 'exact' }, () => ({
        n: count().over('1d'),
      })).exact,
    ).toBe(true);
    const poll = postgresTable({ url: env('URL'), table: 't', id: 'i', updatedAt: 'u', deleted: 'gone' });
    expect(source('orders', { ...options, corrections: true, poll }).poll?.deleted).toBe('gone');
    expect(() => source('orders', { ...options, poll })).toThrow('needs corrections: true');
  });

  it('are held apart by the compiler', () => {
    const rejected = (): void => {
      // @ts-expect-error text is no feature
      group((o) => ({ x: last(o.note).over('1h') }));
      // @ts-expect-error text has no variance
      group((o) => ({ x: variance(o.note).over('1h') }));
      // @ts-expect-error only numbers can be answered as values
      group((o) => ({ x: topK(o.note, 1, { of: 'values' }).over('1h') }));
      // @ts-expect-error a time is no number
      group((o) => ({ x: last(o.at).over('1h').value().plus(1) }));
    };
    expect(typeof rejected).toBe('function');
  });
});
