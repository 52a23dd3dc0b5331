import { describe, expect, it } from 'vitest';
import { Latencies } from './latencies.ts';
import { laterPositions } from './platform.ts';
import { readyUrl } from './product-process.ts';
import { type Report, summarise } from './report.ts';
import { Timeline } from './timeline.ts';
import { MODELS, modelReport, versionOf } from './training.ts';

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

describe('Latencies', () => {
  it('gives quantiles by nearest rank', () => {
    const latencies = new Latencies();
    expect(latencies.quantile(0.5)).toBe(null);
    for (let ms = 2_000; ms >= 1; ms -= 1) latencies.add(ms);
    expect([0, 0.5, 0.99, 1].map((share) => latencies.quantile(share))).toEqual([1, 1_000, 1_980, 2_000]);
  });
});

describe('Timeline', () => {
  it('writes lines with seconds and adds up phases', async () => {
    const lines: string[] = [];
    const timeline = new Timeline((text) => lines.push(text));
    timeline.say('start', 'hello');
    expect(lines[0]).toMatch(/^ +\d+\.\d s {2}start {5}hello\n$/);
    expect(await timeline.phase('work', () => Promise.resolve(3))).toBe(3);
    timeline.add('work', 2);
    await expect(timeline.phase('work', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(timeline.seconds['work']).toBeGreaterThanOrEqual(2);
    expect(Object.keys(timeline.seconds)).toEqual(['work', 'total']);
  });
});

describe('laterPositions', () => {
  it('includes both', () => {
    expect(laterPositions({ a: [1, 5] }, { a: [2, 4], b: [3] })).toEqual({ a: [2, 5], b: [3] });
  });
});

describe('readyUrl', () => {
  it('knows the line that says where the product is', () => {
    expect(readyUrl('{"url":"http://127.0.0.1:8080/","pid":1}')).toBe('http://127.0.0.1:8080');
    for (const line of ['', 'ready', '[]', 'null', '{"msg":"x"}', '{"url":1}'])
      expect(readyUrl(line)).toBe(undefined);
  });
});

describe('models', () => {
  const [entry] = MODELS;
  const run = {
    id: 'r',
    state: 'done' as const,
    steps: [{ name: 'fit', state: 'done', seconds: 0.5 }],
    metrics: { aucRoc: 0.87, averagePrecision: 0.6 },
    gates: [{ metric: 'averagePrecision', bound: 0.3, value: 0.6, passed: true }],
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

  it('can be released when every gate was passed', () => {
    expect(versionOf(entry, run)).toBe(2);
    const failed = { ...run, gates: [{ metric: 'averagePrecision', bound: 0.3, value: 0.2, passed: false }] };
    expect(() => versionOf(entry, failed)).toThrow(/averagePrecision is 0.200, the bound is 0.3/);
    expect(() => versionOf(entry, { ...run, version: null })).toThrow(/no version number/);
  });
});
