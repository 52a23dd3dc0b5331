import { describe, expect, it } from 'vitest';
import {
  atLeast,
  atMost,
  betterThanBaseline,
  byFolds,
  byTime,
  decision,
  defineModel,
  external,
  gbdt,
  id,
  key,
  label,
  logistic,
  type Model,
  type ModelOptions,
  number,
  source,
  timestamp,
  vector,
} from './index.ts';

const cases = source('cases', {
  id: 'caseId',
  time: 'at',
  key: 'patientId',
  fields: { caseId: id(), at: timestamp(), patientId: key(), size: number() },
});
const findings = source('findings', {
  id: 'findingId',
  time: 'at',
  key: 'caseId',
  fields: { findingId: id(), at: timestamp(), caseId: key() },
});
const ill = label('ill', { of: cases, from: findings, on: 'caseId', maturesAfter: '3d' });
const image = vector('image', { candidate: cases, size: (c) => c.size });

function model(options: Partial<ModelOptions<typeof cases>>): Model<string, typeof cases> {
  return defineModel('tumour', { vector: image, label: ill, trainer: logistic(), ...options });
}

const ranker = gbdt({ objective: 'rank', groupBy: 'patientId' });

describe('models', () => {
  it('keep the hashes of definitions of earlier versions', () => {
    // The versions that are registered: a change here makes every app train again before it can release.
    const hashes = [
      model({}),
      model({
        trainer: logistic({ c: 2, l1Ratio: 0.5 }),
        gates: [atLeast('aucRoc', 0.8), atMost('brier', 0.2)],
      }),
      model({
        trainer: gbdt({ growth: 'leaf', earlyStopping: true, monotone: { size: 'rising' } }),
        split: byTime({ train: '30d', excludeKnown: 'patientId' }),
        gates: [atLeast('cardPrecision100', 0.1)],
      }),
    ].map(({ hash }) => hash.slice(0, 15));
    expect(hashes).toEqual(['sha256:85fddeb2', 'sha256:eb5e383e', 'sha256:1e195340']);
  });

  it('are others with a calibration, with folds, or with a gate at another threshold', () => {
    const hashes = [
      {},
      { trainer: logistic({ calibrate: 'platt' }) },
      { trainer: logistic({ calibrate: 'isotonic' }) },
      { split: byFolds() },
      { split: byFolds({ groupBy: 'patientId' }) },
      { gates: [atLeast('recall', 0.9)] },
      { gates: [atLeast('recall', 0.9, { at: 0.3 })] },
      { gates: [atLeast('recall', 0.9, { at: 0.3, bound: 'lower' })] },
      { gates: [atLeast('recall', 0.9, { at: 0.3, slice: 'worst' })] },
      { trainer: ranker },
    ].map((options) => model(options as Partial<ModelOptions<typeof cases>>).hash);
    expect(new Set(hashes).size).toBe(hashes.length);
    expect(model({ gates: [atLeast('recall', 0.9)] }).hash).toBe(
      model({ gates: [atLeast('recall', 0.9, { at: 0.5 })] }).hash,
    );
  });

  it.each<[string, () => unknown]>([
    ['calibrate is', () => logistic({ calibrate: 'beta' as never })],
    ['calibrate is', () => gbdt({ calibrate: true as never })],
    ['objective is', () => gbdt({ objective: 'lambdaRank' as never })],
    ['needs groupBy', () => gbdt({ objective: 'rank' })],
    ["groupBy is for objective 'rank'", () => gbdt({ groupBy: 'patientId' })],
    [
      'classWeights is not',
      () => gbdt({ objective: 'rank', groupBy: 'patientId', classWeights: 'balanced' }),
    ],
    ['calibrate is not', () => gbdt({ objective: 'rank', groupBy: 'patientId', calibrate: 'platt' })],
    ['folds is a whole number', () => byFolds({ folds: 1 })],
    ['folds is a whole number', () => byFolds({ folds: 51 })],
    ["'within' must be longer", () => model({ split: byFolds({ within: '3d' }) })],
    [
      "groupBy 'size' is no key field of 'cases', which has patientId",
      () => model({ split: byFolds({ groupBy: 'size' }) }),
    ],
    ["groupBy 'caseId' is no key field", () => model({ split: byFolds({ groupBy: 'caseId' }) })],
    ['external() takes byTime()', () => model({ trainer: external({ command: ['fit'] }), split: byFolds() })],
    [
      'cardPrecision100 is measured by the days',
      () => model({ split: byFolds(), gates: [atLeast('cardPrecision100', 0.1)] }),
    ],
    ['judged by byTime() without', () => model({ trainer: ranker, split: byFolds() })],
    [
      'judged by byTime() without',
      () => model({ trainer: ranker, split: byTime({ excludeKnown: 'patientId' }) }),
    ],
    [
      "groupBy 'visit' is no key field",
      () => model({ trainer: gbdt({ objective: 'rank', groupBy: 'visit' }) }),
    ],
    [
      'the gate on aucRoc is not for a model that ranks',
      () => model({ trainer: ranker, gates: [atLeast('aucRoc', 0.5)] }),
    ],
    ['the gate on recall10 is for a recommender', () => model({ gates: [atLeast('recall10', 0.5)] })],
    ['the gate on ndcg10 is for a model that ranks', () => model({ gates: [atLeast('ndcg10', 0.5)] })],
    [
      'use it in a recommendation',
      () => decision('next', { model: model({ trainer: ranker }), subject: 'patientId' }),
    ],
  ])('are refused with a reason: %s', (reason, make) => {
    expect(make).toThrow(TypeError);
    expect(make).toThrow(reason);
  });
});

describe('gates', () => {
  it('say what was asked for and nothing else', () => {
    expect(atLeast('aucRoc', 0.8)).toEqual({ metric: 'aucRoc', direction: 'atLeast', bound: 0.8 });
    expect(atLeast('recall', 0.8, { slice: 'worst', bound: 'lower' })).toEqual({
      metric: 'recall',
      direction: 'atLeast',
      bound: 0.8,
      at: 0.5,
      slice: 'worst',
      rowsMin: 30,
      end: 'lower',
    });
    expect(betterThanBaseline('brier')).toEqual({
      metric: 'brier',
      direction: 'atLeast',
      bound: 0,
      against: 'baseline',
    });
  });

  it.each<[string, () => unknown]>([
    ['metrics are aucRoc, ', () => atLeast('accuracy' as never, 0.5)],
    ['the bound is a finite number', () => atLeast('aucRoc', Number.NaN)],
    ["'at' is a threshold", () => atLeast('aucRoc', 0.5, { at: 0.5 })],
    ["'at' is in [0, 1]", () => atLeast('recall', 0.5, { at: 50 })],
    ["'slice' is 'worst'", () => atLeast('recall', 0.5, { slice: 'best' as never })],
    ['not measured by slices', () => atLeast('cardPrecision100', 0.5, { slice: 'worst' })],
    ['not measured by slices', () => atLeast('ndcg10', 0.5, { slice: 'worst' })],
    ["'rowsMin' goes with", () => atLeast('recall', 0.5, { rowsMin: 10 })],
    ["'rowsMin' is a whole number", () => atLeast('recall', 0.5, { slice: 'worst', rowsMin: 0 })],
    ["surely atLeast is 'lower'", () => atLeast('recall', 0.5, { bound: 'upper' })],
    ["surely atMost is 'upper'", () => atMost('brier', 0.5, { bound: 'lower' })],
    ['it has no interval', () => atLeast('cardPrecision100', 0.5, { bound: 'lower' })],
    ['betterThanBaseline(): not of recall', () => betterThanBaseline('recall')],
    ['betterThanBaseline(): not of calibrationError', () => betterThanBaseline('calibrationError')],
  ])('are refused with a reason: %s', (reason, make) => {
    expect(make).toThrow(TypeError);
    expect(make).toThrow(reason);
  });
});
