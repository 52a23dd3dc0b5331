import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../random.ts';
import { bootstrap } from './bootstrap/bootstrap.ts';
import type { Metric } from './bootstrap/evaluate.ts';
import { accuracy, multiclassLogLoss, multiclassMetrics } from './multiclass.ts';
import { brier, logLoss } from './probability.ts';
import { aucRoc, averagePrecision } from './ranking.ts';
import {
  meanAbsoluteError,
  meanPoissonDeviance,
  pinballLoss,
  r2,
  rootMeanSquaredError,
} from './regression.ts';
import { reliabilityCurve } from './reliability.ts';
import { metricsAtThreshold } from './threshold.ts';

/** Weighted rows of all kinds, with ties among the scores. */
function referenceRows(): {
  labels: number[];
  scores: number[];
  weights: number[];
  classes: number[];
  predicted: number[];
  probabilities: number[];
  targets: number[];
  predictions: number[];
} {
  const random = new SeededRandom(42);
  const labels = Array.from({ length: 300 }, () => (random.uniform() < 0.2 ? 1 : 0));
  // Seven bins of a reliability curve have no edge among hundredths, where conventions differ.
  const scores = labels.map((label) => Math.round(100 / (1 + Math.exp(-label - random.normal()))) / 100);
  const weights = labels.map(() => random.uniform() * 3);
  const classes = labels.map(() => random.integer(4));
  const predicted = classes.map((of) => (random.uniform() < 0.6 ? of : random.integer(5)));
  const probabilities = classes.flatMap(() => {
    const parts = [0, 1, 2, 3, 4].map(() => random.uniform());
    const sum = parts.reduce((total, part) => total + part, 0);
    return parts.map((part) => part / sum);
  });
  const targets = labels.map(() => Math.exp(random.normal()));
  const predictions = targets.map((target) => target * Math.exp(0.3 * random.normal()));
  return { labels, scores, weights, classes, predicted, probabilities, targets, predictions };
}

/** Measured on these rows with scikit-learn 1.9.1 (metrics) and SciPy 1.17.1 (`bootstrap`, 200,000 resamples). */
describe('on the same rows as scikit-learn and SciPy', () => {
  const { labels, scores, weights, classes, predicted, probabilities, targets, predictions } =
    referenceRows();

  it.each([
    ['AUC', aucRoc(labels, scores, weights), 0.7694858383926052],
    ['average precision', averagePrecision(labels, scores, weights), 0.547842560442312],
    ['log loss', logLoss(labels, scores, weights), 0.6946227849894082],
    ['Brier score', brier(labels, scores, weights), 0.2465541669428057],
    ['accuracy', accuracy(classes, predicted, weights), 0.6416354304133427],
    [
      'multiclass log loss',
      multiclassLogLoss({ labels: classes, probabilities, classes: 5, weights }),
      1.9115679898620486,
    ],
    ['RMSE', rootMeanSquaredError(targets, predictions, weights), 0.9156512676509847],
    ['MAE', meanAbsoluteError(targets, predictions, weights), 0.4502638002573354],
    ['R2', r2(targets, predictions, weights), 0.9389345929201167],
    ['pinball loss', pinballLoss({ targets, predictions, quantile: 0.8, weights }), 0.20416546209491196],
    ['Poisson deviance', meanPoissonDeviance(targets, predictions, weights), 0.16537490111254466],
  ])('the %s is the same', (_name, found, expected) => {
    expect(found).toBeCloseTo(expected, 12);
  });

  it('F1 and its kin are the same', () => {
    const at = metricsAtThreshold({ labels, scores, threshold: 0.5, weights });
    expect(at.precision).toBeCloseTo(0.36127095143177246, 12);
    expect(at.recall).toBeCloseTo(0.858812623589248, 12);
    expect(at.f1).toBeCloseTo(0.5085947552738079, 12);
    const many = multiclassMetrics({ labels: classes, predicted, classes: 5, weights });
    expect(many.macroF1).toBeCloseTo(0.5330956236997407, 12);
    expect(many.weightedF1).toBeCloseTo(0.6705964293829241, 12);
  });

  it('the reliability curve is the same', () => {
    const found = reliabilityCurve(labels, scores, { bins: 7 });
    const means = [0.1, 0.22216216216216222, 0.3623809523809523, 0.5030769230769232, 0.6455555555555555];
    means.forEach((mean, bin) => expect(found.meanProbabilities[bin]).toBeCloseTo(mean, 12));
    const shares = [0.1, 0.08108108108108109, 0.09523809523809523, 0.1076923076923077, 0.2698412698412698];
    shares.forEach((share, bin) => expect(found.positiveShares[bin]).toBeCloseTo(share, 12));
  });

  it.each([
    ['mean', 'bca', 1.3176, 2.1845, 0.2137],
    ['mean', 'percentile', 1.274, 2.1073, 0.2137],
    ['deviation', 'bca', 1.3861, 2.7167, 0.3268],
    ['deviation', 'percentile', 1.2213, 2.5003, 0.3268],
  ] as const)(
    'the interval of the %s by %s is the same up to chance',
    (name, method, lower, upper, error) => {
      const values = targets.slice(0, 80);
      const found = bootstrap(
        name === 'mean' ? meanOf : deviationOf,
        { labels: values, scores: values },
        { resamples: 20_000, stratified: false, method },
      );
      // The methods differ by 0.2 to 0.5 standard errors here, 20,000 draws by chance by 0.03 at most.
      expect(Math.abs(found.lower - lower)).toBeLessThan(0.08 * error);
      expect(Math.abs(found.upper - upper)).toBeLessThan(0.08 * error);
      expect(found.standardError / error).toBeCloseTo(1, 1);
    },
  );
});

const meanOf: Metric = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const deviationOf: Metric = (values) => {
  const mean = meanOf(values, values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
};
