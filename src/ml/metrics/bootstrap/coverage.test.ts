import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../random.ts';
import { brier } from '../probability.ts';
import { aucRoc } from '../ranking.ts';
import type { BootstrapOptions, BootstrapRows } from './bootstrap.ts';
import { bootstrap } from './bootstrap.ts';
import type { Metric } from './evaluate.ts';
import { normalProbability } from './normal.ts';

const EXPERIMENTS = 400;

/** Share of the experiments whose interval holds the truth. */
function coverage(
  metric: Metric,
  truth: number,
  experiment: { rows: (random: SeededRandom) => BootstrapRows; options: BootstrapOptions },
): number {
  const random = new SeededRandom(2026);
  let held = 0;
  for (let run = 0; run < EXPERIMENTS; run += 1) {
    const found = bootstrap(metric, experiment.rows(random), {
      resamples: 250,
      seed: run,
      ...experiment.options,
    });
    if (found.lower <= truth && truth <= found.upper) held += 1;
  }
  return held / EXPERIMENTS;
}

/** Normal scores, one standard deviation apart: the AUC is known. */
function binormal(random: SeededRandom): BootstrapRows {
  const labels = Array.from({ length: 120 }, (_, row) => (row < 60 ? 1 : 0));
  return { labels, scores: labels.map((label) => label + random.normal()) };
}
const AUC = normalProbability(1 / Math.SQRT2);

const CLUSTERS = 30;
const ROWS_OF_CLUSTER = 4;

/** Clusters whose rows share half of the variance of their noise. */
function clustered(random: SeededRandom): Required<Omit<BootstrapRows, 'weights'>> {
  const groups = Array.from({ length: CLUSTERS * ROWS_OF_CLUSTER }, (_, row) =>
    Math.floor(row / ROWS_OF_CLUSTER),
  );
  const shift = Array.from({ length: CLUSTERS }, () => random.normal());
  return {
    labels: groups.map((group) => (shift[group] ?? NaN) + random.normal()),
    scores: groups.map(() => 0),
    groups,
  };
}
const mean: Metric = (labels) => labels.reduce((sum, label) => sum + label, 0) / labels.length;

describe('an interval at level 0.95 holds the truth in 92 to 98 of 100 experiments', () => {
  it.each(['percentile', 'bca'] as const)('of the AUC, %s', (method) => {
    const found = coverage(aucRoc, AUC, { rows: binormal, options: { method } });
    expect(found).toBeGreaterThanOrEqual(0.92);
    expect(found).toBeLessThanOrEqual(0.98);
  });

  it('of the Brier score, of rows whose classes are drawn too', () => {
    const rows = (random: SeededRandom): BootstrapRows => {
      const scores = Array.from({ length: 150 }, () => random.uniform());
      return { scores, labels: scores.map((score) => (random.uniform() < score ? 1 : 0)) };
    };
    // The mean of p (1 - p) over [0, 1].
    const found = coverage(brier, 1 / 6, { rows, options: { stratified: false } });
    expect(found).toBeGreaterThanOrEqual(0.92);
    expect(found).toBeLessThanOrEqual(0.98);
  });

  it('of clustered rows when whole clusters are drawn, and far less often when rows are', () => {
    const options = { stratified: false, method: 'percentile' } as const;
    const whole = coverage(mean, 0, { rows: clustered, options });
    expect(whole).toBeGreaterThanOrEqual(0.92);
    expect(whole).toBeLessThanOrEqual(0.98);
    const alone = (random: SeededRandom): BootstrapRows => {
      const { labels, scores } = clustered(random);
      return { labels, scores };
    };
    expect(coverage(mean, 0, { rows: alone, options })).toBeLessThan(0.85);
  });
});

describe('an interval of the mean of a few skewed values', () => {
  it('holds the truth too rarely, but more often by BCa than by percentiles', () => {
    const rows = (random: SeededRandom): BootstrapRows => {
      const labels = Array.from({ length: 60 }, () => Math.exp(random.normal()));
      return { labels, scores: labels };
    };
    const by = (method: 'percentile' | 'bca'): number =>
      coverage(mean, Math.exp(0.5), { rows, options: { stratified: false, method } });
    const bca = by('bca');
    expect(bca).toBeGreaterThan(by('percentile'));
    expect(bca).toBeGreaterThan(0.87);
    expect(bca).toBeLessThan(0.95);
  });
});
