import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitIsolationForest } from '../anomaly/isolation-forest.ts';
import { fitClassPrior } from '../baseline/baseline.ts';
import { calibrate } from '../calibrate/calibration.ts';
import { fitIsotonic } from '../calibrate/isotonic.ts';
import { fitPlatt } from '../calibrate/platt.ts';
import { explainLinear } from '../explain/linear-shap.ts';
import { treeExplainer } from '../explain/tree-shap.ts';
import type { TreeEnsemble } from '../gbdt/ensemble.ts';
import { predictTrees } from '../gbdt/predict.ts';
import { fitTrees } from '../gbdt/train.ts';
import { fitLogistic } from '../linear/logistic.ts';
import type { LogisticModel } from '../linear/logistic.ts';
import { linearPredictor } from '../linear/predictor.ts';
import { matrix } from '../matrix.ts';
import { Preprocessor } from '../preprocess/preprocessor.ts';
import { SeededRandom } from '../random.ts';
import { encodePipeline } from './encode-pipeline.ts';
import type { ExportableModel } from './encode-pipeline.ts';
import { encodeTrees } from './encode-trees.ts';
import { NotExplainable } from './errors.ts';
import type { RowExplainer } from './explain-model.ts';
import { SIMULATED_COLUMNS, simulate } from './fixtures/simulated-table.ts';
import { loadModel } from './load-model.ts';

const ROWS = 400;
const COLUMNS = 4;

/** Rows of two numbers and two columns of categories, a tenth missing. */
function someRows(random: SeededRandom): { readonly values: Float32Array; readonly labels: Uint8Array } {
  const values = new Float32Array(ROWS * COLUMNS);
  const labels = new Uint8Array(ROWS);
  for (let row = 0; row < ROWS; row += 1) {
    const given = [random.normal(), 10 * random.normal(), random.integer(4), random.integer(40)];
    const [a = 0, b = 0, few = 0, many = 0] = given;
    labels[row] = a + b / 10 + (few === 2 ? 1 : 0) + Math.sin(many) + random.normal() > 0.5 ? 1 : 0;
    given.forEach((value, column) => {
      values[row * COLUMNS + column] = random.uniform() < 0.1 ? Number.NaN : value;
    });
  }
  return { values, labels };
}

function sumOf({ base }: RowExplainer, contributions: Float64Array): number {
  return contributions.reduce((sum, contribution) => sum + contribution, base);
}

const options = fc.record({
  rounds: fc.integer({ min: 1, max: 40 }),
  maxDepth: fc.integer({ min: 1, max: 8 }),
  growth: fc.constantFrom('depth' as const, 'leaf' as const),
  rowSample: fc.constantFrom(1, 0.5),
  categorical: fc.constantFrom([], [2], [2, 3]),
  classWeights: fc.constantFrom('none' as const, 'balanced' as const),
});

describe('trees, explained from their file', () => {
  it('add up to the margin, and are the Shapley values of the ensemble that was trained', () => {
    fc.assert(
      fc.property(options, fc.integer({ min: 0, max: 1e6 }), ({ classWeights, ...given }, seed) => {
        const { values, labels } = someRows(new SeededRandom(seed));
        const features = matrix(ROWS, COLUMNS, values);
        const model = fitTrees(features, labels, {
          ...given,
          seed,
          ...(classWeights === 'none' ? {} : { classWeights }),
        });
        const margins = predictTrees({ ...model, link: 'identity' }, features);
        const wanted = treeExplainer(model)(features);
        const compiled = loadModel(encodeTrees(model));
        const explainer = compiled.explainer();
        expect(explainer.scale).toBe('log odds');
        const found = new Float64Array(COLUMNS);
        for (let row = 0; row < ROWS; row += 1) {
          explainer.explain(values.subarray(row * COLUMNS, (row + 1) * COLUMNS), found);
          expect(Math.abs(sumOf(explainer, found) - (margins[row] as number))).toBeLessThan(1e-9);
          found.forEach((contribution, column) => {
            expect(contribution).toBeCloseTo(wanted.values[row * COLUMNS + column] as number, 5);
          });
        }
      }),
      { numRuns: 40 },
    );
  });

  it('are the same numbers where the weights of rows are whole', () => {
    const { values, labels } = someRows(new SeededRandom(3));
    const features = matrix(ROWS, COLUMNS, values);
    const model = fitTrees(features, labels, { rounds: 20 });
    const wanted = treeExplainer(model)(features);
    const explainer = loadModel(encodeTrees(model)).explainer();
    expect(explainer.base).toBe(wanted.expected[0]);
    const found = new Float64Array(COLUMNS);
    for (let row = 0; row < ROWS; row += 1) {
      const [start, end] = [row * COLUMNS, (row + 1) * COLUMNS];
      explainer.explain(values.subarray(start, end), found);
      expect(found).toEqual(wanted.values.slice(start, end));
    }
  });

  it('take infinite values, and refuse rows of another width', () => {
    const { values, labels } = someRows(new SeededRandom(5));
    const model = fitTrees(matrix(ROWS, COLUMNS, values), labels, { rounds: 5 });
    const explainer = loadModel(encodeTrees(model)).explainer();
    const row = Float32Array.of(Infinity, -Infinity, 1e9, Number.NaN);
    const found = new Float64Array(COLUMNS);
    explainer.explain(row, found);
    const [margin] = predictTrees({ ...model, link: 'identity' }, matrix(1, COLUMNS, row));
    expect(sumOf(explainer, found)).toBeCloseTo(margin as number, 9);
    expect(() => explainer.explain(row.subarray(1), found)).toThrow(RangeError);
    expect(() => explainer.explain(row, found.subarray(1))).toThrow(RangeError);
  });
});

const finite = fc.double({ noNaN: true, min: -50, max: 50 });

describe('a linear model, explained from its file', () => {
  it('adds up to the margin, a missing value adding nothing', () => {
    const column = fc.record({
      mean: finite,
      scale: fc.double({ noNaN: true, min: 1e-2, max: 1e3 }),
      coefficient: finite,
      value: fc.oneof(fc.float({ noNaN: true, min: -1000, max: 1000 }), fc.constant(Number.NaN)),
    });
    fc.assert(
      fc.property(fc.array(column, { minLength: 1, maxLength: 20 }), finite, (columns, intercept) => {
        const model: LogisticModel = {
          kind: 'logistic',
          means: Float64Array.from(columns, ({ mean }) => mean),
          scales: Float64Array.from(columns, ({ scale }) => scale),
          coefficients: Float64Array.from(columns, ({ coefficient }) => coefficient),
          intercept,
          iterations: 0,
        };
        const row = Float32Array.from(columns, ({ value }) => value);
        const explainer = loadModel(encodePipeline({ model })).explainer();
        const found = new Float64Array(columns.length);
        explainer.explain(row, found);
        const margin = new Float64Array(1);
        linearPredictor({ ...model, kind: 'regression' }).predict(row, 1, margin);
        const size = found.reduce((sum, part) => sum + Math.abs(part), 1);
        expect(Math.abs(sumOf(explainer, found) - (margin[0] as number))).toBeLessThan(1e-9 * size);
        row.forEach((value, at) => {
          if (Number.isNaN(value)) expect(found[at]).toBe(0);
        });
      }),
    );
  });
});

const training = simulate(1_500, 1);
const test = simulate(50, 2, true);
const labels = Array.from(training.signal, (value) => (value > 0.3 ? 1 : 0));

describe('a calibrated model', () => {
  const trees = fitTrees(training.features, labels, { rounds: 10 });
  const linear = fitLogistic(training.features, labels);
  const marginsOf = (model: TreeEnsemble | LogisticModel): Float64Array => {
    const output = new Float64Array(test.features.rows);
    if (model.kind === 'trees') return predictTrees({ ...model, link: 'identity' }, test.features);
    linearPredictor({ ...model, kind: 'regression' }).predict(test.features.values, output.length, output);
    return output;
  };
  const scores = new Float64Array(training.features.rows);
  loadModel(encodePipeline({ model: linear })).predict(training.features.values, scores.length, scores);

  it.each([
    { name: 'Platt on the margin of trees', model: trees, curve: fitPlatt(scores, labels), on: 'margin' },
    { name: 'isotonic on trees', model: trees, curve: fitIsotonic(scores, labels), on: 'probability' },
    { name: 'Platt on a linear model', model: linear, curve: fitPlatt(scores, labels), on: 'margin' },
  ] as const)('is explained before its curve, and says so: $name', ({ model, curve, on }) => {
    const compiled = loadModel(encodePipeline({ model, calibration: { curve, on } }));
    const explainer = compiled.explainer();
    expect(explainer.scale).toBe('log odds before calibration');
    const margins = marginsOf(model);
    const { columns, values } = test.features;
    const found = new Float64Array(columns);
    const score = new Float64Array(1);
    margins.forEach((margin, row) => {
      const given = values.subarray(row * columns, (row + 1) * columns);
      explainer.explain(given, found);
      const size = found.reduce((sum, part) => sum + Math.abs(part), 1);
      expect(Math.abs(sumOf(explainer, found) - margin)).toBeLessThan(1e-9 * size);
      compiled.predict(given, 1, score);
      const before = on === 'margin' ? margin : 1 / (1 + Math.exp(-margin));
      expect(score).toEqual(calibrate(curve, Float64Array.of(before)));
    });
  });
});

describe('a model behind a preprocessor', () => {
  const { preprocessor, training: prepared } = Preprocessor.fit(training.table, [
    { kind: 'numeric', column: 'number 1', impute: 'median', indicator: true, standardise: true },
    { kind: 'one-hot', column: 'city', categoriesMax: 6, indicator: true },
    { kind: 'numeric', column: 'number 0' },
    { kind: 'one-hot', column: 'plan', impute: 'most-frequent' },
  ]);
  const rows = simulate(40, 3);
  const inputs = ['number 1', 'number 0', 'city', 'plan'];

  it.each([
    ['trees', fitTrees(prepared, labels, { rounds: 15 })],
    ['a linear model', fitLogistic(prepared, labels)],
  ] as const)('gives each input what the columns made of it add: %s', (_, model) => {
    const compiled = loadModel(encodePipeline({ model, preprocessor }));
    expect([...(compiled.inputNames ?? []), ...(compiled.categoryNames ?? [])]).toEqual(inputs);
    const explainer = compiled.explainer();
    const features = preprocessor.transform(rows.table);
    const whole = model.kind === 'trees' ? treeExplainer(model)(features) : explainLinear(model, features);
    const found = new Float64Array(inputs.length);
    for (let row = 0; row < rows.features.rows; row += 1) {
      const numbers = Float32Array.from([1, 0], (column) => valueAt(row, column));
      const categories = rows.mixed.categories.slice(row * 2, row * 2 + 2);
      explainer.explainMixed({ numbers, categories }, found);
      const wanted = new Float64Array(inputs.length);
      preprocessor.names.forEach((name, column) => {
        const input = inputs.findIndex((start) => name.startsWith(start));
        wanted[input] = (wanted[input] as number) + (whole.values[row * features.columns + column] as number);
      });
      found.forEach((part, input) => expect(part).toBeCloseTo(wanted[input] as number, 9));
      expect(explainer.base).toBeCloseTo(whole.expected[0] as number, 9);
    }
    expect(() => explainer.explain(new Float32Array(2), found)).toThrow(RangeError);
  });

  function valueAt(row: number, column: number): number {
    return rows.features.values[row * SIMULATED_COLUMNS + column] as number;
  }
});

describe('a model that cannot be explained says why', () => {
  const reasonOf = (bytes: Uint8Array): string => {
    try {
      loadModel(bytes).explainer();
    } catch (error) {
      if (error instanceof NotExplainable) return error.message;
      throw error;
    }
    return 'explained';
  };
  const { values, labels: ones } = someRows(new SeededRandom(9));
  const features = matrix(ROWS, COLUMNS, values);

  it('a file of before there were weights of rows, which answers as it always did', () => {
    const bytes = readFileSync(new URL('fixtures/trees-without-weights.onnx', import.meta.url));
    expect(reasonOf(bytes)).toContain('nodes_hitrates');
    const output = new Float64Array(2);
    loadModel(bytes).predict(Float32Array.of(1, -1, Number.NaN, 0.5), 2, output);
    expect([...output]).toEqual([0.5659673335945653, 0.45656757917146423]);
  });

  it('a file whose rates are 1 everywhere, as converters write them', () => {
    const model = fitTrees(features, ones, { rounds: 3 });
    const bytes = encodeTrees({ ...model, cover: model.cover.map(() => 1) });
    expect(reasonOf(bytes)).toContain('no weights of training rows');
    expect(reasonOf(encodeTrees({ ...model, cover: model.cover.map(() => 0) }))).toContain('no weights');
  });

  it.each<[string, () => ExportableModel]>([
    ['several classes', () => fitTrees(features, ones, { rounds: 2, objective: 'multiclass' })],
    ['anomaly', () => fitIsolationForest(features)],
    ['constant', () => fitClassPrior(features, ones)],
  ])('%s', (text, fit) => {
    expect(reasonOf(encodePipeline({ model: fit() }))).toContain(text);
  });
});
