import { describe, expect, it } from 'vitest';
import { fitIsolationForest, scoreAnomalies } from '../anomaly/isolation-forest.ts';
import { baselinePredictor, fitClassPrior, fitLastValue, fitMean } from '../baseline/baseline.ts';
import { calibrate } from '../calibrate/calibration.ts';
import { fitIsotonic } from '../calibrate/isotonic.ts';
import { fitPlatt } from '../calibrate/platt.ts';
import { predictTrees } from '../gbdt/predict.ts';
import { fitTrees } from '../gbdt/train.ts';
import { fitElasticNet } from '../linear/elastic-net.ts';
import { fitLogisticElasticNet } from '../linear/logistic-elastic-net.ts';
import { fitLogistic } from '../linear/logistic.ts';
import { fitMultinomial } from '../linear/multinomial.ts';
import type { Predictor } from '../linear/predictor.ts';
import { linearPredictor } from '../linear/predictor.ts';
import { fitRidge } from '../linear/ridge.ts';
import type { Matrix } from '../matrix.ts';
import { Preprocessor } from '../preprocess/preprocessor.ts';
import { encodeLogistic } from './encode-logistic.ts';
import type { ExportableModel, Pipeline } from './encode-pipeline.ts';
import { encodePipeline } from './encode-pipeline.ts';
import { encodeTrees } from './encode-trees.ts';
import type { SimulatedTable } from './fixtures/simulated-table.ts';
import { SIMULATED_COLUMNS as COLUMNS, simulate } from './fixtures/simulated-table.ts';
import { loadModel } from './load-model.ts';
import type { MixedRows } from './row-encoder.ts';

const TRAINING_ROWS = 1500;
const TEST_ROWS = 10_000;

const training = simulate(TRAINING_ROWS, 1);
const test = simulate(TEST_ROWS, 2, true);
const binary = Array.from(training.signal, (value) => (value > 0.3 ? 1 : 0));
const classes = Array.from(training.signal, (value) =>
  value < -1 ? 0 : value < 0 ? 1 : value < 1.5 ? 2 : 3,
);

/** The trainers' own answers. */
function scoresOf(model: ExportableModel, features: Matrix): Float64Array {
  if (model.kind === 'trees') return predictTrees(model, features);
  if (model.kind === 'isolation-forest') return scoreAnomalies(model, features);
  const predictor: Predictor =
    model.kind === 'constant' || model.kind === 'last-value'
      ? baselinePredictor(model)
      : linearPredictor(model);
  const output = new Float64Array(features.rows * predictor.outputCount);
  predictor.predict(features.values, features.rows, output);
  return output;
}

/** Log odds, by the arithmetic of the model without its last step. */
function marginsOf(model: ExportableModel, features: Matrix): Float64Array {
  if (model.kind === 'trees') return scoresOf({ ...model, link: 'identity' }, features);
  if (model.kind !== 'logistic') throw new Error(`A ${model.kind} model has no margin`);
  return scoresOf({ ...model, kind: 'regression' }, features);
}

/** What a pipeline must answer: its parts, one after the other. */
function expected({ preprocessor, model, calibration }: Pipeline, data: SimulatedTable): Float64Array {
  const features = preprocessor === undefined ? data.features : preprocessor.transform(data.table);
  if (calibration === undefined) return scoresOf(model, features);
  const scores = calibration.on === 'margin' ? marginsOf(model, features) : scoresOf(model, features);
  return calibrate(calibration.curve, scores);
}

/** What ONNX Runtime answers to rows, and what it tells about the model. */
interface RuntimeAnswers {
  readonly data: ArrayLike<unknown>;
  readonly dims: readonly number[];
  /** Name, type and shape of each input, then of the output. */
  readonly interface: readonly (readonly unknown[])[];
}

/** Runs a model in ONNX Runtime, a development dependency. */
async function runtimeAnswers(bytes: Uint8Array, rows: number, input: MixedRows): Promise<RuntimeAnswers> {
  const { InferenceSession, Tensor } = await import('onnxruntime-node');
  const session = await InferenceSession.create(bytes, { intraOpNumThreads: 1, interOpNumThreads: 1 });
  try {
    const feeds: Record<string, InstanceType<typeof Tensor>> = {};
    if (session.inputNames.includes('input')) {
      feeds.input = new Tensor('float32', input.numbers, [rows, input.numbers.length / rows]);
    }
    if (session.inputNames.includes('categories')) {
      const texts = input.categories.map((text) => text ?? '');
      feeds.categories = new Tensor('string', texts, [rows, texts.length / rows]);
    }
    const [answer] = Object.values(await session.run(feeds));
    if (answer === undefined) throw new Error('There is no answer');
    const facts = [...session.inputMetadata, ...session.outputMetadata].map((value) =>
      value.isTensor ? [value.name, value.type, value.shape] : [value.name],
    );
    return { data: answer.data, dims: answer.dims, interface: facts };
  } finally {
    await session.release();
  }
}

/** Relative to answers above 1. The file's answers are float32: beyond its range they are infinite. */
function largestDifference(wanted: Float64Array, found: ArrayLike<unknown>): number {
  let largest = wanted.length === found.length ? 0 : Number.NaN;
  wanted.forEach((value, at) => {
    if (Math.fround(value) === Number(found[at])) return;
    const difference = Math.abs(value - Number(found[at])) / Math.max(1, Math.abs(value));
    // Written so that NaN stays.
    if (!(difference <= largest)) largest = difference;
  });
  return largest;
}

/** How far ONNX Runtime's float32 sums of trees are from ours (notes on inference: 2.8e-6 on 50,000 rows). */
const TREES_ROUNDING = 3e-6;

/**
 * An isotonic curve may be as steep as it likes, and multiplies the rounding of a sum of trees. Its answer must be
 * one that it gives to a score within that rounding.
 */
function expectWithinRounding({ model, calibration }: Pipeline, found: ArrayLike<unknown>): void {
  if (calibration === undefined) throw new Error('There is no calibration');
  const { curve, on } = calibration;
  const scores = on === 'margin' ? marginsOf(model, test.features) : scoresOf(model, test.features);
  const rounding = scores.map((score) => TREES_ROUNDING * Math.max(1, Math.abs(score)));
  const least = calibrate(
    curve,
    scores.map((score, row) => score - (rounding[row] ?? 0)),
  );
  const most = calibrate(
    curve,
    scores.map((score, row) => score + (rounding[row] ?? 0)),
  );
  const outside = least.findIndex((value, row) => {
    const answer = Number(found[row]);
    return !(answer >= value - 1e-7 && answer <= (most[row] ?? 0) + 1e-7);
  });
  expect(outside).toBe(-1);
}

interface Case {
  readonly name: string;
  readonly pipeline: Pipeline;
  readonly facts: readonly [kind: string, task: string, outputName: string, outputCount: number];
}

const logistic = fitLogistic(training.features, binary);
const trees = fitTrees(training.features, binary, { rounds: 30, maxDepth: 4 });
const holdout = simulate(1500, 3);
const heldOutLabels = Array.from(holdout.signal, (value) => (value > 0.3 ? 1 : 0));
const forest = fitIsolationForest(training.features, { trees: 30 });

function calibrated(model: ExportableModel, on: 'margin' | 'probability', isIsotonic: boolean): Pipeline {
  const scores = on === 'margin' ? marginsOf(model, holdout.features) : scoresOf(model, holdout.features);
  const curve = isIsotonic ? fitIsotonic(scores, heldOutLabels) : fitPlatt(scores, heldOutLabels);
  return { model, calibration: { curve, on } };
}

const { preprocessor, training: prepared } = Preprocessor.fit(
  training.table,
  [
    { kind: 'numeric', column: 'number 1', impute: 'median', indicator: true, standardise: true },
    { kind: 'one-hot', column: 'city', categoriesMax: 6, indicator: true },
    { kind: 'numeric', column: 'number 0' },
    { kind: 'target', column: 'city', impute: { constant: 'Köln' } },
    { kind: 'one-hot', column: 'plan', impute: 'most-frequent' },
    { kind: 'numeric', column: 'number 4', impute: { constant: 7.1 }, standardise: true },
    { kind: 'target', column: 'plan', indicator: true },
  ],
  { targets: binary },
);
const numbersOnly = Preprocessor.fit(training.table, [
  { kind: 'numeric', column: 'number 3', impute: 'mean' },
  { kind: 'numeric', column: 'number 2', indicator: true, standardise: true },
]);
const textsOnly = Preprocessor.fit(training.table, [{ kind: 'one-hot', column: 'plan' }]);
const preparedTrees = fitTrees(prepared, binary, { rounds: 20, maxDepth: 4, categorical: [2, 3] });

const BINARY = ['binary', 'probability', 1] as const;
const NUMBER = ['regression', 'prediction', 1] as const;
const CASES: readonly Case[] = [
  { name: 'logistic', pipeline: { model: logistic }, facts: ['logistic', ...BINARY] },
  {
    name: 'logistic elastic net',
    pipeline: { model: fitLogisticElasticNet(training.features, binary, { alpha: 0.05 }) },
    facts: ['logistic', ...BINARY],
  },
  {
    name: 'multinomial',
    pipeline: { model: fitMultinomial(training.features, classes) },
    facts: ['multinomial', 'multiclass', 'probability', 4],
  },
  {
    name: 'ridge',
    pipeline: { model: fitRidge(training.features, training.signal) },
    facts: ['regression', ...NUMBER],
  },
  {
    name: 'elastic net',
    pipeline: { model: fitElasticNet(training.features, training.signal, { alpha: 0.1 }) },
    facts: ['regression', ...NUMBER],
  },
  { name: 'trees', pipeline: { model: trees }, facts: ['trees', ...BINARY] },
  ...[logistic, trees].flatMap((model) =>
    (['margin', 'probability'] as const).flatMap((on) =>
      [false, true].map((isIsotonic): Case => ({
        name: `${model.kind}, ${isIsotonic ? 'isotonic' : 'Platt'} on the ${on}`,
        pipeline: calibrated(model, on, isIsotonic),
        facts: [model.kind, ...BINARY],
      })),
    ),
  ),
  {
    name: 'isolation forest',
    pipeline: { model: forest },
    facts: ['isolation-forest', 'anomaly', 'score', 1],
  },
  {
    name: 'class prior',
    pipeline: { model: fitClassPrior(training.features, binary) },
    facts: ['constant', ...BINARY],
  },
  {
    name: 'prior of four classes',
    pipeline: { model: fitClassPrior(training.features, classes), outputNames: ['a', 'b', 'c', 'd'] },
    facts: ['constant', 'multiclass', 'probability', 4],
  },
  {
    name: 'mean',
    pipeline: { model: fitMean(training.features, training.signal) },
    facts: ['constant', ...NUMBER],
  },
  {
    name: 'last value',
    pipeline: { model: fitLastValue(training.features, training.signal, { column: 2 }) },
    facts: ['last-value', ...NUMBER],
  },
  {
    name: 'preprocessed logistic',
    pipeline: { model: fitLogistic(prepared, binary), preprocessor },
    facts: ['logistic', ...BINARY],
  },
  {
    name: 'preprocessed multinomial',
    pipeline: { model: fitMultinomial(prepared, classes), preprocessor },
    facts: ['multinomial', 'multiclass', 'probability', 4],
  },
  {
    name: 'preprocessed trees with ranks, calibrated',
    pipeline: {
      model: preparedTrees,
      preprocessor,
      calibration: { curve: { kind: 'platt', slope: 1.25, intercept: -0.5 }, on: 'margin' },
    },
    facts: ['trees', ...BINARY],
  },
  {
    name: 'preprocessed isolation forest',
    pipeline: { model: fitIsolationForest(prepared, { trees: 20 }), preprocessor },
    facts: ['isolation-forest', 'anomaly', 'score', 1],
  },
  {
    name: 'preprocessed ranking trees',
    pipeline: {
      model: fitTrees(prepared, training.signal, { rounds: 5, objective: 'squaredError' }),
      preprocessor,
      task: 'ranking',
    },
    facts: ['trees', 'ranking', 'prediction', 1],
  },
  {
    name: 'last value of preprocessed numbers',
    pipeline: {
      model: fitLastValue(numbersOnly.training, training.signal, { column: 0 }),
      preprocessor: numbersOnly.preprocessor,
    },
    facts: ['last-value', ...NUMBER],
  },
  {
    name: 'texts alone',
    pipeline: { model: fitMean(textsOnly.training, training.signal), preprocessor: textsOnly.preprocessor },
    facts: ['constant', ...NUMBER],
  },
];

/** The columns that a pipeline reads, of rows that have all. */
function inputOf(pipeline: Pipeline, data: SimulatedTable): MixedRows {
  if (pipeline.preprocessor === undefined) return { numbers: data.features.values, categories: [] };
  const { inputNames = [], categoryNames = [] } = loadModel(encodePipeline(pipeline));
  const numbers = inputNames.map((name) => Number(name.slice(-1)));
  const texts = categoryNames.map((name) => (name === 'city' ? 0 : 1));
  const rows = Array.from({ length: data.table.rows }, (_, row) => row);
  return {
    numbers: Float32Array.from(
      rows.flatMap((row) => numbers.map((column) => data.features.values[row * COLUMNS + column] ?? 0)),
    ),
    categories: rows.flatMap((row) => texts.map((column) => data.mixed.categories[row * 2 + column] ?? null)),
  };
}

describe.each(CASES)('an exported pipeline: $name', ({ pipeline, facts }) => {
  const bytes = encodePipeline(pipeline);
  const compiled = loadModel(bytes);
  const [kind, task, outputName, outputCount] = facts;
  const input = inputOf(pipeline, test);

  it('answers in process what its parts do, bit for bit, alone or beside others', () => {
    expect(compiled).toMatchObject({ kind, task, outputName, outputCount });
    const wanted = expected(pipeline, test);
    const output = new Float64Array(TEST_ROWS * outputCount);
    compiled.predictMixed(input, TEST_ROWS, output);
    expect(Buffer.from(output.buffer).equals(Buffer.from(wanted.buffer, wanted.byteOffset))).toBe(true);
    const alone = new Float64Array(outputCount);
    for (let row = 0; row < TEST_ROWS; row += 613) {
      const [numbers, texts] = [compiled.inputCount, compiled.categoryCount];
      const one = {
        numbers: input.numbers.subarray(row * numbers, (row + 1) * numbers),
        categories: input.categories.slice(row * texts, (row + 1) * texts),
      };
      compiled.predictMixed(one, 1, alone);
      expect(alone).toEqual(output.slice(row * outputCount, (row + 1) * outputCount));
      if (texts > 0) continue;
      compiled.predict(one.numbers, 1, alone);
      expect(alone).toEqual(output.slice(row * outputCount, (row + 1) * outputCount));
    }
  });

  it('answers the same in ONNX Runtime, whose interface is the one told', async () => {
    const answers = await runtimeAnswers(bytes, TEST_ROWS, input);
    expect(answers.dims).toEqual([TEST_ROWS, outputCount]);
    const output = new Float64Array(TEST_ROWS * outputCount);
    compiled.predictMixed(input, TEST_ROWS, output);
    const isSteep = kind === 'trees' && pipeline.calibration?.curve.kind === 'isotonic';
    if (isSteep) expectWithinRounding(pipeline, answers.data);
    else expect(largestDifference(output, answers.data)).toBeLessThan(1e-5);
    expect(answers.interface).toEqual([
      ...(compiled.inputCount > 0 ? [['input', 'float32', ['n', compiled.inputCount]]] : []),
      ...(compiled.categoryCount > 0 ? [['categories', 'string', ['n', compiled.categoryCount]]] : []),
      [outputName, 'float32', ['n', outputCount]],
    ]);
  });

  it('is the same bytes when it is the same model', () => {
    const copy = structuredClone({ model: pipeline.model, calibration: pipeline.calibration });
    const description: unknown = JSON.parse(JSON.stringify(pipeline.preprocessor?.describe() ?? null));
    const again = encodePipeline({
      ...pipeline,
      model: copy.model,
      ...(copy.calibration === undefined ? {} : { calibration: copy.calibration }),
      ...(description === null ? {} : { preprocessor: Preprocessor.of(description) }),
    });
    expect(again).toEqual(bytes);
  });
});

describe('encodePipeline', () => {
  it('writes a model alone as its own encoder does', () => {
    const inputNames = ['a', 'b', 'c', 'd', 'e'];
    expect(encodePipeline({ model: logistic, inputNames })).toEqual(encodeLogistic(logistic, inputNames));
    expect(encodePipeline({ model: trees, inputNames })).toEqual(encodeTrees(trees, inputNames));
  });

  it('keeps the names', () => {
    const model = fitClassPrior(training.features, classes);
    const inputNames = ['a', 'b', 'c', 'd', 'e'];
    const outputNames = ['none', 'few', 'some', 'many'];
    expect(loadModel(encodePipeline({ model, inputNames, outputNames }))).toMatchObject({
      inputNames,
      outputNames,
    });
    const preprocessed = loadModel(encodePipeline({ model: fitLogistic(prepared, binary), preprocessor }));
    expect(preprocessed).toMatchObject({
      inputNames: ['number 1', 'number 0', 'number 4'],
      categoryNames: ['city', 'plan'],
    });
    expect(() => preprocessed.predict(new Float32Array(3), 1, new Float64Array(1))).toThrow(/2 texts/);
    const short = { numbers: new Float32Array(3), categories: ['Köln'] };
    expect(() => preprocessed.predictMixed(short, 1, new Float64Array(1))).toThrow(
      /1 rows need 3 inputs, 2 texts/,
    );
  });

  it('refuses parts that do not fit together', () => {
    const curve = { kind: 'platt', slope: 1, intercept: 0 } as const;
    const calibration = { curve, on: 'margin' } as const;
    const mean = fitMean(training.features, training.signal);
    expect(() => encodePipeline({ model: mean, calibration })).toThrow(/not constant/);
    expect(() => encodePipeline({ model: logistic, preprocessor })).toThrow(
      /18 columns but the model takes 5/,
    );
    expect(() => encodePipeline({ model: logistic, task: 'ranking' })).toThrow(/another task than ranking/);
    expect(() => encodePipeline({ model: logistic, outputNames: ['a', 'b'] })).toThrow(
      /1 answers but 2 names/,
    );
    const falling = {
      kind: 'isotonic',
      scores: Float64Array.of(0, 1),
      probabilities: Float64Array.of(1, 0),
    } as const;
    expect(() => encodePipeline({ model: logistic, calibration: { curve: falling, on: 'margin' } })).toThrow(
      /Probability 1 of the curve must be at least 1/,
    );
    const steep = { ...curve, slope: Number.POSITIVE_INFINITY };
    expect(() => encodePipeline({ model: logistic, calibration: { curve: steep, on: 'margin' } })).toThrow(
      /finite slope/,
    );
    const inputNames = ['x'];
    expect(() => encodePipeline({ model: logistic, preprocessor, inputNames })).toThrow(
      /names of its columns/,
    );
  });
});
