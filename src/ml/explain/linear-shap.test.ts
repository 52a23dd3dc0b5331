import { describe, expect, it } from 'vitest';
import { fitLogistic } from '../linear/logistic.ts';
import { matrixOf } from '../matrix.ts';
import { SeededRandom } from '../random.ts';
import { explainLinear } from './linear-shap.ts';

describe('explainLinear', () => {
  it('gives coefficient * (value - mean) / scale', () => {
    const model = { coefficients: [2, -3], means: [1, 10], scales: [1, 5], intercept: 0.5 };
    const { values, expected } = explainLinear(
      model,
      matrixOf([
        [3, 0],
        [null, 10],
      ]),
    );
    expect([...values]).toEqual([4, 6, 0, -0]);
    expect(expected).toEqual(Float64Array.of(0.5));
  });

  it('adds up to the margin of a logistic regression, whatever the background', () => {
    const random = new SeededRandom(1);
    const rows = Array.from({ length: 300 }, () => [
      random.normal() * 4 + 20,
      random.uniform() < 0.2 ? null : random.normal(),
      7,
    ]);
    const labels = rows.map(([a]) => ((a ?? 0) + random.normal() * 4 > 20 ? 1 : 0));
    const features = matrixOf(rows);
    const model = fitLogistic(features, labels);
    const background = [18, 0.5, 7];
    const explained = [explainLinear(model, features), explainLinear(model, features, { background })];
    for (let row = 0; row < features.rows; row += 1) {
      let margin = model.intercept;
      for (let column = 0; column < 3; column += 1) {
        const value = features.values[row * 3 + column] ?? 0;
        const mean = model.means[column] ?? 0;
        const deviation = Number.isNaN(value) ? 0 : value - mean;
        margin += ((model.coefficients[column] ?? 0) * deviation) / (model.scales[column] ?? 1);
      }
      for (const { values, expected } of explained) {
        const sum = values.subarray(row * 3, row * 3 + 3).reduce((a, b) => a + b, expected[0] ?? 0);
        expect(Math.abs(sum - margin)).toBeLessThan(1e-9);
      }
    }
    expect(explained[0]?.expected[0]).toBe(model.intercept);
  });

  it('refuses what does not fit', () => {
    const model = { coefficients: [1, 2], means: [0, 0], intercept: 0 };
    expect(() => explainLinear(model, matrixOf([[1]]))).toThrow('2 inputs but the rows have 1 columns');
    expect(() => explainLinear(model, matrixOf([[1, Number.NEGATIVE_INFINITY]]))).toThrow(
      'Row 0 has -Infinity in column 1',
    );
    expect(() => explainLinear({ ...model, scales: [1] }, matrixOf([[1, 2]]))).toThrow(
      /2 coefficients but 1 scales/,
    );
    expect(() => explainLinear(model, matrixOf([[1, 2]]), { background: [1] })).toThrow(/but 1 background/);
  });
});
