import { describe, expect, it } from 'vitest';
import { type Report, summarise } from './report.ts';
import { MODELS, modelReport } from './training.ts';

const report: Report = {
  events: { sent: 561_000, accepted: 561_007, duplicates: 5_000, quarantined: 0 },
  features: {
    rows: 201_295,
    valuesOnline: 2_818_130,
    mismatchesOnline: 0,
    valuesOffline: 2_818_130,
    mismatchesOffline: 0,
    mismatchesAsServed: 0,
  },
  models: [
    { trainer: 'logistic', auc: 0.871, averagePrecision: 0.606, cardPrecision100: null, fitSeconds: 1.25 },
  ],
  decisions: { count: 0, failed: 0, p50Ms: null, p99Ms: null },
  digests: { features: '1', dataset: '2', models: {}, decisions: '3' },
  seconds: { history: 10.5, total: 60 },
  peakRssMb: null,
};

describe('summarise', () => {
  it('writes every figure, and a dash for what is not known', () => {
    const text = summarise(report);
    expect(text).toContain('561,000 sent, 561,007 accepted');
    expect(text).toContain('2,818,130 values, 0 mismatches');
    expect(text).toContain('AUC 0.871, average precision 0.606, card precision@100 -, fitted in 1.3 s');
    expect(text).toContain('p50 -, p99 -');
    expect(text).toContain('history 10.5 s, total 60.0 s');
    expect(text).toContain('not known on this system');
  });
});

describe('models', () => {
  const [entry] = MODELS;
  const run = {
    id: 'r',
    state: 'done' as const,
    steps: [{ name: 'fit', state: 'done', seconds: 0.5 }],
    metrics: { aucRoc: 0.87, averagePrecision: 0.6 },
    gates: [
      { metric: 'averagePrecision', direction: 'atLeast' as const, bound: 0.3, value: 0.6, passed: true },
    ],
    version: 2,
    error: null,
  };

  it('are reported with what the run measured', () => {
    expect(modelReport(entry, run)).toEqual({
      trainer: 'logistic',
      auc: 0.87,
      averagePrecision: 0.6,
      cardPrecision100: null,
      fitSeconds: 0.5,
    });
  });
});
