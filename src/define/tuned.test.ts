import { describe, expect, it } from 'vitest';
import {
  byFolds,
  byTime,
  choices,
  defineModel,
  type Duration,
  external,
  gbdt,
  hourOfDay,
  id,
  integers,
  key,
  label,
  logIntegers,
  logistic,
  logUniform,
  prequential,
  searchOf,
  source,
  stratified,
  timestamp,
  tuned,
  type TunedOptions,
  uniform,
  vector,
} from './index.ts';

const payments = source('payments', {
  id: 'paymentId',
  time: 'at',
  key: 'customerId',
  fields: { paymentId: id(), at: timestamp(), customerId: key() },
});
const reports = source('reports', {
  id: 'reportId',
  time: 'at',
  key: 'paymentId',
  fields: { reportId: id(), at: timestamp(), paymentId: key() },
});
const shared = {
  vector: vector('hour', { candidate: payments, hour: (c) => hourOfDay(c.at) }),
  label: label('fraud', { of: payments, from: reports, on: 'paymentId', maturesAfter: '1d' }),
};

describe('tuned', () => {
  it('adds a search to a trainer, with its defaults, and leaves the trainer as it is', () => {
    const trainer = gbdt({ rounds: 200 });
    const made = tuned(trainer, { learningRate: logUniform(0.01, 0.3), depthMax: integers(2, 8) });
    expect(made).toEqual({
      ...trainer,
      search: {
        space: [
          { name: 'learningRate', kind: 'logUniform', low: 0.01, high: 0.3 },
          { name: 'depthMax', kind: 'integers', low: 2, high: 8 },
        ],
        by: 'tpe',
        metric: 'averagePrecision',
        parallel: 4,
        trials: 40,
      },
    });
    expect(searchOf(made)?.trials).toBe(40);
    expect(searchOf(trainer)).toBeUndefined();
  });

  it('keeps what it was asked for', () => {
    const made = tuned(
      logistic(),
      { c: logUniform(1e-3, 1e3), l1Ratio: choices(0.5, 1) },
      { by: 'grid', metric: 'logLoss', parallel: 2, gridSteps: 7, within: '2h', validate: stratified() },
    );
    expect(made.search).toMatchObject({
      by: 'grid',
      metric: 'logLoss',
      parallel: 2,
      gridSteps: 7,
      withinMs: 7_200_000,
      validate: { kind: 'stratified', folds: 5 },
    });
    expect(made.search.trials).toBeUndefined();
    const halving = tuned(gbdt({ rounds: 270 }), { lambda: uniform(0, 10) }, { by: 'hyperband' });
    expect(halving.search).toMatchObject({ by: 'hyperband', roundsMin: 10, reduction: 3 });
    expect(prequential({ folds: 2, train: '14d', step: '1d' })).toEqual({
      kind: 'prequential',
      folds: 2,
      trainMs: 14 * 86_400_000,
      stepMs: 86_400_000,
    });
  });

  const boosted = gbdt();
  const space = { learningRate: logUniform(0.01, 0.3) };
  it.each<[string, () => unknown, RegExp]>([
    [
      'an option that there is not',
      () => tuned(boosted, { depth: integers(2, 8) } as never),
      /no option 'depth'/,
    ],
    [
      'an option of another trainer',
      () => tuned(logistic(), { lambda: uniform(0, 1) } as never),
      /no option 'lambda'/,
    ],
    [
      'a name that every object has',
      () => tuned(boosted, { constructor: uniform(0, 1) } as never),
      /'constructor'/,
    ],
    [
      'a bound that it does not take',
      () => tuned(boosted, { depthMax: integers(2, 20) }),
      /depthMax cannot be 20: .* 1 to 16/,
    ],
    [
      'a choice that it does not take',
      () => tuned(boosted, { rowFraction: choices(0.5, 2) }),
      /rowFraction cannot be 2/,
    ],
    [
      'leaves of trees that grow by depth',
      () => tuned(boosted, { leavesMax: integers(8, 64) }),
      /leavesMax cannot be 8/,
    ],
    ['parts of a whole', () => tuned(boosted, { depthMax: uniform(2, 8) }), /depthMax is whole/],
    ['nothing to search', () => tuned(boosted, {}), /1 to 32 options; got 0/],
    [
      'a command',
      () => tuned(external({ command: ['train'] }) as never, {}),
      /takes gbdt\(\) and logistic\(\)/,
    ],
    ['to be tuned twice', () => tuned(tuned(boosted, space), space), /tuned already/],
    [
      'half a trial',
      () => tuned(boosted, space, { trials: 0.5 }),
      /'trials' is a whole number from 1 to 1000/,
    ],
    ['too many at a time', () => tuned(boosted, space, { parallel: 65 }), /'parallel' is a whole number/],
    ['a strange method', () => tuned(boosted, space, { by: 'magic' } as never), /'by' is one of tpe/],
    ['a strange metric', () => tuned(boosted, space, { metric: 'toString' } as never), /'metric' is one of/],
    ['a moment', () => tuned(boosted, space, { within: '10ms' as Duration }), /'within' is '1s' to '7d'/],
    ['steps of no grid', () => tuned(boosted, space, { gridSteps: 3 }), /'gridSteps' is for by: 'grid'/],
    ['rungs of no halving', () => tuned(boosted, space, { reduction: 3 }), /are for by: 'hyperband'/],
    [
      'halving without trees',
      () => tuned(logistic(), { c: uniform(1, 2) }, { by: 'hyperband' }),
      /is for gbdt/,
    ],
    [
      'halving of trees twice',
      () => tuned(boosted, { rounds: integers(1, 9) }, { by: 'hyperband' }),
      /sets 'rounds' itself/,
    ],
    [
      'a grid without end',
      () =>
        tuned(
          boosted,
          { ...space, depthMax: integers(2, 8), alpha: uniform(0, 1) },
          { by: 'grid', gridSteps: 20 },
        ),
      /up to 2800 points/,
    ],
    ['a range without width', () => uniform(1, 1), /the first bound is below the second/],
    ['a logarithm of nothing', () => logIntegers(0, 3), /above 0/],
    ['half of a whole', () => integers(0.5, 3), /whole numbers/],
    ['no choice', () => choices(), /1 to 100 different numbers/],
    ['the same choice', () => choices(1, 1), /different numbers/],
    ['no fold', () => prequential({ folds: 0 }), /folds is a whole number from 1 to 20/],
    ['one fold to learn from and be judged by', () => stratified({ folds: 1 }), /from 2 to 20/],
  ])('refuses %s', (_what, make, message) => {
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });

  it('is judged by a metric only where that can be measured', () => {
    const model = (options: TunedOptions, split = byTime()): unknown =>
      defineModel('m', { ...shared, split, trainer: tuned(boosted, space, options) });
    const metric = 'cardPrecision100';
    const known = byTime({ excludeKnown: 'customerId' });
    expect(() => model({ metric })).toThrow(/needs a split with 'excludeKnown'/);
    expect(() => model({ metric, validate: stratified() }, known)).toThrow(/and prequential validation/);
    expect(() => model({ metric }, known)).not.toThrow();
  });

  it('of a model that ranks goes by metrics of rankings, and of one that is judged by folds not by time', () => {
    const ranker = gbdt({ objective: 'rank', groupBy: 'customerId' });
    expect(tuned(ranker, space).search.metric).toBe('ndcg10');
    const model = (options: Partial<Parameters<typeof defineModel>[1]>): unknown =>
      defineModel('m', { ...shared, trainer: tuned(boosted, space), ...options });
    expect(() => model({ trainer: tuned(ranker, space) })).not.toThrow();
    expect(() => model({ trainer: tuned(ranker, space, { metric: 'aucRoc' }) })).toThrow(
      /by aucRoc is not for a model that ranks/,
    );
    expect(() => model({ trainer: tuned(boosted, space, { metric: 'mrr10' }) })).toThrow(
      /by mrr10 is for a model that ranks/,
    );
    expect(() => model({ split: byFolds() })).not.toThrow();
    const inTime = tuned(boosted, space, { validate: prequential() });
    expect(() => model({ split: byFolds(), trainer: inTime })).toThrow(
      /prequential validation needs a split by time/,
    );
  });

  it('is part of what a model is, and a trainer without it has the hash that it had', () => {
    const hash = (trainer: Parameters<typeof defineModel>[1]['trainer']): string =>
      defineModel('m', { ...shared, trainer }).hash;
    const plain = hash(gbdt());
    const searched = hash(tuned(gbdt(), space));
    expect(searched).not.toBe(plain);
    expect(hash(tuned(gbdt(), space, { trials: 41 }))).not.toBe(searched);
    // The order decides which draw is whose.
    const [rate, depth] = [space.learningRate, integers(2, 8)];
    expect(hash(tuned(gbdt(), { learningRate: rate, depthMax: depth }))).not.toBe(
      hash(tuned(gbdt(), { depthMax: depth, learningRate: rate })),
    );
    expect(plain).toBe('sha256:61be2629ef456de30dbae2c69844a6b841228a1866986079a526c1f69b2390b9');
  });
});
