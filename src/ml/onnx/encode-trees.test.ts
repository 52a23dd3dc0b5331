import { describe, expect, it } from 'vitest';
import type { TreeEnsemble } from '../gbdt/ensemble.ts';
import type { TreesOptions } from '../gbdt/options.ts';
import { predictTrees } from '../gbdt/predict.ts';
import { fitTrees } from '../gbdt/train.ts';
import { matrix } from '../matrix.ts';
import { SeededRandom } from '../random.ts';
import { encodeModel, integerAttribute } from './encode-model.ts';
import { encodeTrees } from './encode-trees.ts';
import { loadModel } from './load-model.ts';
import { INPUT_NAME, ML_DOMAIN, ML_OPSET_VERSION, OPSET_VERSION } from './schema.ts';

const COLUMNS = 4;
const ROWS = 900;

/** Two numbers, a column of 4 categories and one of 60; a tenth of the values is missing. */
function simulate(rows: number, seed: number): { values: Float32Array; signal: Float64Array } {
  const random = new SeededRandom(seed);
  const values = new Float32Array(rows * COLUMNS);
  const signal = new Float64Array(rows);
  for (let row = 0; row < rows; row += 1) {
    const [a, b, few, many] = [random.normal(), random.normal(), random.integer(4), random.integer(60)];
    signal[row] = a + (few === 2 ? 1.5 : 0) + Math.sin(many * 7) + random.normal() / 2;
    [a, b, few, many * 11].forEach((value, column) => {
      values[row * COLUMNS + column] = random.uniform() < 0.1 ? Number.NaN : value;
    });
  }
  return { values, signal };
}

const { values, signal } = simulate(ROWS, 1);
const features = matrix(ROWS, COLUMNS, values);
const groups = Array.from({ length: ROWS / 9 }, () => 9);

/** Rows as in training, and with categories that are unknown, halves, infinite, or out of any range. */
function hardRows(): Float32Array {
  const rows = simulate(400, 2).values;
  const random = new SeededRandom(3);
  const strange = [-1, 0.5, 3.5, 4, 11, 12, 1e9, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0];
  for (let at = 800; at < rows.length; at += 1) {
    if (random.uniform() < 0.4) rows[at] = strange[random.integer(strange.length)] ?? 0;
  }
  return rows;
}

interface Case {
  readonly name: string;
  readonly labels: ArrayLike<number>;
  readonly options: TreesOptions;
  readonly outputs: number;
  readonly output: string;
}

const levels = signal.map((value) => (value < -0.5 ? 0 : value < 1 ? 1 : 2));
const counts = signal.map((value) => Math.max(0, Math.round(2 * value)));
const ones = signal.map((value) => (value > 0.5 ? 1 : 0));

const CASES: readonly Case[] = [
  { name: 'binary', labels: ones, options: {}, outputs: 1, output: 'probability' },
  {
    name: 'multiclass',
    labels: levels,
    options: { objective: 'multiclass' },
    outputs: 3,
    output: 'probability',
  },
  {
    name: 'squared error',
    labels: signal,
    options: { objective: 'squaredError', growth: 'leaf' },
    outputs: 1,
    output: 'prediction',
  },
  { name: 'quantile', labels: signal, options: { objective: 'quantile' }, outputs: 1, output: 'prediction' },
  { name: 'Poisson', labels: counts, options: { objective: 'poisson' }, outputs: 1, output: 'prediction' },
  {
    name: 'ranking',
    labels: levels,
    options: { objective: 'lambdaRank', groups },
    outputs: 1,
    output: 'prediction',
  },
];

function fitted({ labels, options }: Case, categorical: readonly number[]): TreeEnsemble {
  return fitTrees(features, labels, { rounds: 20, ...options, categorical });
}

/** What ONNX Runtime answers. */
async function runtimeAnswers(
  bytes: Uint8Array,
  rows: Float32Array,
): Promise<Map<string, ArrayLike<unknown>>> {
  const { InferenceSession, Tensor } = await import('onnxruntime-node');
  const session = await InferenceSession.create(bytes, { intraOpNumThreads: 1, interOpNumThreads: 1 });
  try {
    const answers = await session.run({
      input: new Tensor('float32', rows, [rows.length / COLUMNS, COLUMNS]),
    });
    return new Map(Object.entries(answers).map(([name, { data }]) => [name, data]));
  } finally {
    await session.release();
  }
}

describe.each(CASES)('an exported model: $name', (given) => {
  const models = [fitted(given, []), fitted(given, [2]), fitted(given, [2, 3])];
  const rows = hardRows();
  const count = rows.length / COLUMNS;

  it('answers in process what training would, bit for bit, alone or beside others', () => {
    for (const model of models) {
      const compiled = loadModel(encodeTrees(model));
      expect([compiled.kind, compiled.outputCount]).toEqual(['trees', given.outputs]);
      const output = new Float64Array(count * given.outputs);
      compiled.predict(rows, count, output);
      expect(output).toEqual(predictTrees(model, matrix(count, COLUMNS, rows)));
      const alone = new Float64Array(given.outputs);
      for (let row = 0; row < count; row += 37) {
        compiled.predict(rows.subarray(row * COLUMNS, (row + 1) * COLUMNS), 1, alone);
        expect(alone).toEqual(output.slice(row * given.outputs, (row + 1) * given.outputs));
      }
    }
  });

  it('answers the same in ONNX Runtime', async () => {
    for (const model of models) {
      const answers = (await runtimeAnswers(encodeTrees(model), rows)).get(given.output);
      const expected = predictTrees(model, matrix(count, COLUMNS, rows));
      expect(answers).toHaveLength(expected.length);
      expected.forEach((value, at) => {
        // Written so that NaN fails.
        expect(Math.abs(value - Number(answers?.[at])) < 1e-5 * Math.max(1, Math.abs(value))).toBe(true);
      });
    }
  });
});

describe('targets in a model file', () => {
  const model = fitted(CASES[1] as Case, []);

  it('must each have a base value, and a tree the same one in all its leaves', () => {
    const wide = encodeTrees({ ...model, outputs: 2 ** 31 });
    expect(() => loadModel(wide)).toThrow(/one finite base value for each target/);
    const narrow = encodeTrees({ ...model, baseScores: model.baseScores.slice(0, 2) });
    expect(() => loadModel(narrow)).toThrow(/one finite base value for each target/);
    const attributes = [integerAttribute('n_targets', 0)];
    const none = encodeModel({
      graphName: 'other',
      inputCount: 1,
      inputNames: undefined,
      opsets: [
        { domain: '', version: OPSET_VERSION },
        { domain: ML_DOMAIN, version: ML_OPSET_VERSION },
      ],
      nodes: [
        {
          operator: 'TreeEnsembleRegressor',
          domain: ML_DOMAIN,
          inputs: [INPUT_NAME],
          output: 'probability',
          attributes,
        },
      ],
      initializers: [],
    });
    expect(() => loadModel(none)).toThrow(/cannot have 0 targets/);
    const sigmoid = encodeTrees({ ...model, link: 'logistic' });
    expect(() => loadModel(sigmoid)).toThrow(/cannot have 3 targets before Sigmoid/);
  });
});

describe('categories in a model file', () => {
  it('are there only for columns that a tree splits on', () => {
    const model = fitted(CASES[0] as Case, [2, 3]);
    expect(model.equality).toContain(1);
    const text = (bytes: Uint8Array): string => new TextDecoder('latin1').decode(bytes);
    expect(text(encodeTrees(model))).toMatch(/LabelEncoder.*LabelEncoder/s);
    const stump = fitTrees(features, ones, { rounds: 1, minGain: 1e9, categorical: [2, 3] });
    expect(text(encodeTrees(stump))).not.toContain('LabelEncoder');
  });

  it('are refused where the graph is another one', () => {
    const model = fitted(CASES[0] as Case, [3]);
    const [coding] = model.categories;
    if (coding === undefined) throw new Error('There is no coding');
    const changed = (codes: Float32Array): Uint8Array =>
      encodeTrees({ ...model, categories: [{ ...coding, codes }] });
    expect(() => loadModel(changed(coding.codes.toReversed()))).toThrow(/ascending keys/);
    expect(() => loadModel(changed(coding.codes.slice(1)))).toThrow(/a value for each/);
    expect(() =>
      loadModel(
        encodeTrees({
          ...model,
          categories: [{ ...coding, feature: 9 }],
          feature: model.feature.map(() => 9),
        }),
      ),
    ).toThrow(/one of the 4 inputs, not 9/);
    const along = encodeModel({
      graphName: 'other',
      inputCount: 2,
      inputNames: undefined,
      opsets: [
        { domain: '', version: OPSET_VERSION },
        { domain: ML_DOMAIN, version: ML_OPSET_VERSION },
      ],
      nodes: [
        {
          operator: 'Concat',
          inputs: [INPUT_NAME, INPUT_NAME],
          output: 'wide',
          attributes: [integerAttribute('axis', 0)],
        },
        {
          operator: 'TreeEnsembleRegressor',
          domain: ML_DOMAIN,
          inputs: ['wide'],
          output: 'probability',
          attributes: [integerAttribute('n_targets', 1)],
        },
      ],
      initializers: [],
    });
    expect(() => loadModel(along)).toThrow(/Concat must be along axis 1/);
  });
});
