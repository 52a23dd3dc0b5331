import { aucRoc, fitLogistic, linearPredictor, rawCoefficients } from '../../../src/ml/index.ts';
import type { Measurement } from '../../run.ts';
import { codedTable, readMassPima } from './cases.ts';
import { hasData } from './data-folder.ts';
import { printTable } from './text-table.ts';

/** Intercept and coefficients as R's glm prints them, seven digits. */
const EXPECTED = [
  -9.773062, 0.1031834, 0.03211682, -0.004767542, -0.001916632, 0.08362391, 1.82041, 0.04118353,
];

/** The fixed split of MASS: logistic regression without penalty, whose solution is unique. */
export function measurePimaSplit(): Measurement {
  if (!hasData('pimaSplit', ['diagnostics/MASS_Pima.tr.csv', 'diagnostics/MASS_Pima.te.csv'])) {
    return { metrics: {}, goals: [] };
  }
  const [training, test] = [readMassPima('tr'), readMassPima('te')];
  const model = fitLogistic(codedTable(training.table).features, training.labels, { C: Infinity });
  const { features } = codedTable(test.table);
  const answers = new Float64Array(features.rows);
  linearPredictor(model).predict(features.values, features.rows, answers);
  const errors = answers.filter((answer, row) => (answer > 0.5 ? 1 : 0) !== test.labels[row]).length;
  const { intercept, coefficients } = rawCoefficients(model);
  const differences = [intercept, ...coefficients].map((value, index) =>
    Math.abs(value / (EXPECTED[index] ?? Number.NaN) - 1),
  );
  const metrics = {
    pimaSplitErrors: errors,
    pimaSplitAuc: aucRoc(test.labels, answers),
    pimaSplitCoefficientDifferenceMax_ratio: Math.max(...differences),
  };
  printTable(
    'Pima.tr and Pima.te',
    ['errors of 332', 'AUC', 'largest relative difference of a coefficient'],
    [[String(errors), metrics.pimaSplitAuc.toFixed(4), Math.max(...differences).toExponential(1)]],
  );
  return {
    metrics,
    goals: [
      { metric: 'pimaSplitErrors', goal: 66, bound: 'max' },
      { metric: 'pimaSplitCoefficientDifferenceMax_ratio', goal: 5e-6, bound: 'max' },
    ],
  };
}
