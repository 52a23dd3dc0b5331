import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitIsolationForest } from '../anomaly/isolation-forest.ts';
import { calibrate } from '../calibrate/calibration.ts';
import type { Calibration } from '../calibrate/calibration.ts';
import { fitTrees } from '../gbdt/train.ts';
import type { LogisticModel } from '../linear/logistic.ts';
import type { LinearModel } from '../linear/predictor.ts';
import { linearPredictor } from '../linear/predictor.ts';
import { matrix } from '../matrix.ts';
import type { PreprocessorDescription, StepDescription } from '../preprocess/description.ts';
import { Preprocessor } from '../preprocess/preprocessor.ts';
import type { Table } from '../preprocess/table.ts';
import { SeededRandom } from '../random.ts';
import type { NodeToEncode } from './encode-model.ts';
import { castNode, doubleTensor, encodeModel, integerAttribute, integerTensor } from './encode-model.ts';
import type { Pipeline } from './encode-pipeline.ts';
import { encodePipeline } from './encode-pipeline.ts';
import { MalformedModel, UnsupportedGraph } from './errors.ts';
import type { CompiledModel } from './load-model.ts';
import { loadModel } from './load-model.ts';
import type { MixedRows } from './row-encoder.ts';
import { DATA_TYPE, OPSET_VERSION } from './schema.ts';

const finite = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 });
const scale = fc.double({ noNaN: true, min: 1e-6, max: 1e6 });
const value = fc.oneof(
  { weight: 8, arbitrary: fc.float({ noNaN: true, min: -1000, max: 1000 }) },
  fc.constantFrom(Number.NaN, Infinity, -Infinity, -0, 1e-45, 3.4028234663852886e38),
);

function vectorOf(values: fc.Arbitrary<number>, length: number): fc.Arbitrary<Float64Array> {
  return fc.array(values, { minLength: length, maxLength: length }).map((list) => Float64Array.from(list));
}

const linearModel: fc.Arbitrary<LinearModel> = fc
  .record({ columns: fc.integer({ min: 1, max: 6 }), classes: fc.integer({ min: 2, max: 5 }) })
  .chain(({ columns, classes }) => {
    const common = {
      means: vectorOf(finite, columns),
      scales: vectorOf(scale, columns),
      iterations: fc.constant(0),
    };
    const single = { ...common, coefficients: vectorOf(finite, columns), intercept: finite };
    return fc.oneof(
      fc.record({ kind: fc.constant('logistic' as const), ...single }),
      fc.record({ kind: fc.constant('regression' as const), ...single }),
      fc.record({
        kind: fc.constant('multinomial' as const),
        classCount: fc.constant(classes),
        ...common,
        coefficients: vectorOf(finite, columns * classes),
        intercepts: vectorOf(finite, classes),
      }),
    );
  });

const isotonic: fc.Arbitrary<Calibration> = fc
  .uniqueArray(fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e300, max: 1e300 }), {
    minLength: 1,
    maxLength: 40,
    comparator: (a, b) => a === b,
  })
  .chain((scores) =>
    fc.record({
      kind: fc.constant('isotonic' as const),
      scores: fc.constant(Float64Array.from(scores).sort()),
      probabilities: vectorOf(fc.double({ noNaN: true, min: 0, max: 1 }), scores.length).map((list) =>
        list.sort(),
      ),
    }),
  );
const platt: fc.Arbitrary<Calibration> = fc.record({
  kind: fc.constant('platt' as const),
  slope: fc.double({ noNaN: true, min: 0, max: 1e3 }),
  intercept: finite,
});

const category = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 4 }).filter((text) => !text.includes('\0')),
  fc.constantFrom(
    'a',
    'b',
    'A',
    ' ',
    'Ä',
    'A\u0308',
    '\ufeffx',
    'İ',
    'ß',
    'ss',
    '0',
    '1.0',
    'true',
    '"',
    '\\',
    '\n',
  ),
);
const categories = fc.uniqueArray(category, { minLength: 0, maxLength: 6 });
const fill = fc.oneof(fc.constant(null), category);

const step: fc.Arbitrary<StepDescription> = fc.oneof(
  fc.record({
    kind: fc.constant('numeric' as const),
    column: fc.constantFrom('n0', 'n1', 'n2'),
    fill: fc.oneof(fc.constant(null), finite),
    indicator: fc.boolean(),
    mean: finite,
    scale,
  }),
  fc.record({
    kind: fc.constant('one-hot' as const),
    column: fc.constantFrom('c0', 'c1'),
    fill,
    indicator: fc.boolean(),
    categories,
  }),
  categories.chain((list) =>
    fc.record({
      kind: fc.constant('target' as const),
      column: fc.constantFrom('c0', 'c1'),
      fill,
      indicator: fc.boolean(),
      categories: fc.constant(list),
      values: fc.array(finite, { minLength: list.length, maxLength: list.length }),
      otherwise: finite,
    }),
  ),
);

/** Steps whose output columns have different names, and at least one. */
const description: fc.Arbitrary<PreprocessorDescription> = fc
  .array(step, { minLength: 1, maxLength: 5 })
  .map((steps): PreprocessorDescription => ({ format: 'preprocessor', version: 1, steps }))
  .filter((made) => {
    try {
      return Preprocessor.of(made).names.length > 0;
    } catch {
      return false;
    }
  });

const ROWS = 12;
const mixedRows = fc.record({
  numbers: fc.array(value, { minLength: 3 * ROWS, maxLength: 3 * ROWS }),
  texts: fc.array(fc.oneof(fc.constantFrom(null, '', 'never seen'), category), {
    minLength: 2 * ROWS,
    maxLength: 2 * ROWS,
  }),
});

/** A regression that adds up the features with different coefficients. */
function sumOf(columns: number): LinearModel {
  return {
    kind: 'regression',
    means: new Float64Array(columns),
    scales: new Float64Array(columns).fill(1),
    coefficients: Float64Array.from({ length: columns }, (_, column) => 1 + column / 7),
    intercept: 0.25,
    iterations: 0,
  };
}

/** The columns of rows by name, and as the model reads them. */
function givenTo(
  model: CompiledModel,
  rows: { readonly numbers: readonly number[]; readonly texts: readonly (string | null)[] },
): { readonly table: Table; readonly mixed: MixedRows } {
  const at = Array.from({ length: ROWS }, (_, row) => row);
  const numbers = (column: number): number[] => at.map((row) => rows.numbers[row * 3 + column] ?? 0);
  const texts = (column: number): (string | null)[] => at.map((row) => rows.texts[row * 2 + column] ?? null);
  const { inputNames = [], categoryNames = [] } = model;
  const placeOf = (name: string): number => Number(name.slice(1));
  return {
    table: {
      rows: ROWS,
      columns: [
        ...[0, 1, 2].map((column) => ({
          kind: 'numeric' as const,
          name: `n${column}`,
          values: numbers(column),
        })),
        ...[0, 1].map((column) => ({
          kind: 'categorical' as const,
          name: `c${column}`,
          values: texts(column),
        })),
      ],
    },
    mixed: {
      numbers: Float32Array.from(
        at.flatMap((row) => inputNames.map((name) => numbers(placeOf(name))[row] ?? 0)),
      ),
      categories: at.flatMap((row) => categoryNames.map((name) => texts(placeOf(name))[row] ?? null)),
    },
  };
}

/** What ONNX Runtime answers. */
async function runtimeAnswers(bytes: Uint8Array, input: MixedRows): Promise<ArrayLike<unknown>> {
  const { InferenceSession, Tensor } = await import('onnxruntime-node');
  const session = await InferenceSession.create(bytes, { intraOpNumThreads: 1, interOpNumThreads: 1 });
  try {
    const feeds: Record<string, InstanceType<typeof Tensor>> = {};
    if (input.numbers.length > 0) {
      feeds.input = new Tensor('float32', input.numbers, [ROWS, input.numbers.length / ROWS]);
    }
    if (input.categories.length > 0) {
      const texts = input.categories.map((text) => text ?? '');
      feeds.categories = new Tensor('string', texts, [ROWS, texts.length / ROWS]);
    }
    const [answer] = Object.values(await session.run(feeds));
    return answer?.data ?? [];
  } finally {
    await session.release();
  }
}

describe('any model, written and read again', () => {
  it('answers as a linear predictor does, bit for bit', () => {
    fc.assert(
      fc.property(linearModel, fc.array(value, { minLength: 60, maxLength: 60 }), (model, values) => {
        const predictor = linearPredictor(model);
        const rows = Math.floor(values.length / predictor.inputCount);
        const compiled = loadModel(encodePipeline({ model }));
        const [wanted, found] = [0, 1].map(() => new Float64Array(rows * predictor.outputCount)) as [
          Float64Array,
          Float64Array,
        ];
        predictor.predict(Float32Array.from(values), rows, wanted);
        compiled.predict(Float32Array.from(values), rows, found);
        expect(found).toEqual(wanted);
      }),
      { numRuns: 100 },
    );
  });

  it('calibrates as the curve does, bit for bit', () => {
    const model: LogisticModel = {
      kind: 'logistic',
      means: Float64Array.of(0),
      scales: Float64Array.of(1),
      coefficients: Float64Array.of(1),
      intercept: 0,
      iterations: 0,
    };
    fc.assert(
      fc.property(
        fc.oneof(isotonic, platt),
        fc.array(value, { minLength: 1, maxLength: 30 }),
        (curve, values) => {
          const numbers = Float32Array.from(values);
          const margins = Float64Array.from(numbers, (margin) =>
            Number.isNaN(margin)
              ? 0
              : Math.min(Math.max(margin, -3.4028234663852886e38), 3.4028234663852886e38),
          );
          const compiled = loadModel(encodePipeline({ model, calibration: { curve, on: 'margin' } }));
          const found = new Float64Array(numbers.length);
          compiled.predict(numbers, numbers.length, found);
          expect(found).toEqual(calibrate(curve, margins));
        },
      ),
      { numRuns: 100 },
    );
  });

  it('preprocesses as its description says, bit for bit', () => {
    fc.assert(
      fc.property(description, mixedRows, (described, rows) => {
        const preprocessor = Preprocessor.of(described);
        const model = sumOf(preprocessor.names.length);
        const compiled = loadModel(encodePipeline({ model, preprocessor }));
        const { table, mixed } = givenTo(compiled, rows);
        const features = preprocessor.transform(table);
        const [wanted, found] = [new Float64Array(ROWS), new Float64Array(ROWS)];
        linearPredictor(model).predict(features.values, ROWS, wanted);
        compiled.predictMixed(mixed, ROWS, found);
        expect(found).toEqual(wanted);
      }),
      { numRuns: 150 },
    );
  });

  it('preprocesses the same in ONNX Runtime', async () => {
    await fc.assert(
      fc.asyncProperty(description, mixedRows, async (described, rows) => {
        const preprocessor = Preprocessor.of(described);
        const bytes = encodePipeline({ model: sumOf(preprocessor.names.length), preprocessor });
        const compiled = loadModel(bytes);
        const { mixed } = givenTo(compiled, rows);
        const found = new Float64Array(ROWS);
        compiled.predictMixed(mixed, ROWS, found);
        const answers = await runtimeAnswers(bytes, mixed);
        expect(answers).toHaveLength(ROWS);
        found.forEach((wanted, row) => {
          const answer = Number(answers[row]);
          // Sums in another order differ by the rounding of the largest term, which cancels at times.
          const difference = Math.abs(wanted - answer);
          const isSame = Math.fround(wanted) === answer || difference <= 1e-5 * Math.max(1, Math.abs(wanted));
          if (!isSame) expect([row, wanted]).toEqual([row, answer]);
        });
      }),
      { numRuns: 40 },
    );
  });

  it.each(['\ud800', 'a\0b'])('refuses texts that other runtimes read as others: %j', (text) => {
    const half: StepDescription = {
      kind: 'one-hot',
      column: 'c0',
      fill: null,
      indicator: false,
      categories: [text],
    };
    const preprocessor = Preprocessor.of({ format: 'preprocessor', version: 1, steps: [half] });
    expect(() => encodePipeline({ model: sumOf(1), preprocessor })).toThrow(
      /well-formed texts without zeros/,
    );
  });
});

const random = new SeededRandom(7);
const features = matrix(
  200,
  2,
  Float32Array.from({ length: 400 }, () => random.normal()),
);
const labels = Array.from({ length: 200 }, (_, row) => ((features.values[row * 2] ?? 0) > 0 ? 1 : 0));
const trees = fitTrees(features, labels, { rounds: 2, maxDepth: 2 });
const curve: Calibration = {
  kind: 'isotonic',
  scores: Float64Array.of(-1, 0, 0.5),
  probabilities: Float64Array.of(0.1, 0.2, 0.9),
};
const SMALL: readonly (readonly [string, Pipeline])[] = [
  ['regression', { model: sumOf(2) }],
  [
    'multinomial',
    {
      model: {
        ...sumOf(2),
        kind: 'multinomial',
        classCount: 2,
        coefficients: Float64Array.of(1, 2, 3, 4),
        intercepts: Float64Array.of(0, 1),
      },
    },
  ],
  ['isotonic', { model: trees, calibration: { curve, on: 'probability' } }],
  [
    'Platt',
    { model: trees, calibration: { curve: { kind: 'platt', slope: 1, intercept: 0 }, on: 'margin' } },
  ],
  ['isolation forest', { model: fitIsolationForest(features, { trees: 2, subsampleSize: 8 }) }],
  ['constant', { model: { kind: 'constant', rule: 'mean', inputCount: 2, answer: Float64Array.of(1) } }],
  ['last value', { model: { kind: 'last-value', inputCount: 2, column: 1, fallback: 3 } }],
  [
    'preprocessor',
    {
      model: sumOf(6),
      preprocessor: Preprocessor.of({
        format: 'preprocessor',
        version: 1,
        steps: [
          { kind: 'numeric', column: 'n', fill: 1, indicator: true, mean: 0, scale: 2 },
          { kind: 'one-hot', column: 'c', fill: 'a', indicator: true, categories: ['a', 'b'] },
          {
            kind: 'target',
            column: 'c',
            fill: null,
            indicator: false,
            categories: ['a'],
            values: [1],
            otherwise: 2,
          },
        ],
      }),
    },
  ],
];

/** Reads bytes as a model and asks it; true when it answered and false when it was refused. */
function isAnswered(bytes: Uint8Array): boolean {
  try {
    const model = loadModel(bytes);
    // A damaged number of inputs that nothing contradicts is sound, but no test needs such arrays.
    if (model.inputCount > 1e6 || model.categoryCount > 1e6) return true;
    const input = {
      numbers: new Float32Array(model.inputCount),
      categories: Array.from({ length: model.categoryCount }, () => null),
    };
    model.predictMixed(input, 1, new Float64Array(model.outputCount));
    return true;
  } catch (error) {
    if (error instanceof MalformedModel || error instanceof UnsupportedGraph) return false;
    throw error;
  }
}

describe.each(SMALL)('a damaged file: %s', (_, pipeline) => {
  const bytes = encodePipeline(pipeline);

  it('is refused or can be used, whatever bytes are changed', () => {
    expect(isAnswered(bytes)).toBe(true);
    const change = fc.tuple(fc.nat({ max: bytes.length - 1 }), fc.nat({ max: 255 }));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const damaged = bytes.slice();
        for (const [at, byte] of changes) damaged[at] = byte;
        isAnswered(damaged);
      }),
      { numRuns: 400 },
    );
  });

  it('is refused wherever it is cut', () => {
    for (let length = 0; length < bytes.length; length += 7) {
      expect(isAnswered(bytes.subarray(0, length))).toBe(false);
    }
  });
});

/** A graph of the operators of baselines that is none. */
function another(nodes: readonly NodeToEncode[]): Uint8Array {
  return encodeModel({
    graphName: 'other',
    inputCount: 2,
    inputNames: undefined,
    opsets: [{ domain: '', version: OPSET_VERSION }],
    nodes,
    initializers: [
      integerTensor('column', [1], [5]),
      integerTensor('one', [1], [1]),
      doubleTensor('answer', [1, 1], [1]),
      doubleTensor('fallback', [], [1]),
    ],
  });
}

describe('graphs of known operators in another arrangement', () => {
  const gather = (axis: number): NodeToEncode => ({
    operator: 'Gather',
    inputs: ['input', 'column'],
    output: 'last',
    attributes: [integerAttribute('axis', axis)],
  });
  const lastValue = (axis: number): NodeToEncode[] => [
    gather(axis),
    { operator: 'IsNaN', inputs: ['last'], output: 'missing' },
    { operator: 'IsInf', inputs: ['last'], output: 'infinite' },
    { operator: 'Or', inputs: ['missing', 'infinite'], output: 'unusable' },
    castNode('last', 'wide_last', DATA_TYPE.double),
    { operator: 'Where', inputs: ['unusable', 'fallback', 'wide_last'], output: 'wide_answer' },
    castNode('wide_answer', 'probability', DATA_TYPE.float),
  ];

  it('are refused', () => {
    expect(() => loadModel(another(lastValue(1)))).toThrow(/one of the 2 inputs, not 5/);
    expect(() => loadModel(another(lastValue(0)))).toThrow(/along axis 1/);
    expect(() => loadModel(another([castNode('input', 'probability', DATA_TYPE.float)]))).toThrow(
      UnsupportedGraph,
    );
    expect(() => loadModel(another([{ operator: 'Erf', inputs: ['input'], output: 'probability' }]))).toThrow(
      new UnsupportedGraph('The operator Erf is not supported', 'Erf'),
    );
  });

  it('are refused when nodes are left over', () => {
    const [model] = SMALL;
    const sound = loadModel(encodePipeline(model?.[1] ?? { model: sumOf(2) }));
    expect(sound.task).toBe('regression');
    const twice: NodeToEncode[] = [
      {
        operator: 'Shape',
        inputs: ['input'],
        output: 'rows',
        attributes: [integerAttribute('start', 0), integerAttribute('end', 1)],
      },
      {
        operator: 'Concat',
        inputs: ['rows', 'one'],
        output: 'shape',
        attributes: [integerAttribute('axis', 0)],
      },
      { operator: 'Expand', inputs: ['answer', 'shape'], output: 'wide' },
      castNode('wide', 'probability', DATA_TYPE.float),
    ];
    expect(loadModel(another(twice))).toMatchObject({ kind: 'constant', task: 'binary' });
    const spare: NodeToEncode = { operator: 'IsNaN', inputs: ['input'], output: 'spare' };
    expect(() => loadModel(another([...twice, spare]))).toThrow(/4 nodes here, not 5: Shape/);
  });

  it('are refused when their metadata name another task', () => {
    const ranking = encodePipeline({ model: sumOf(2), task: 'ranking' });
    expect(loadModel(ranking).task).toBe('ranking');
    const changed = Buffer.from(
      Buffer.from(ranking).toString('latin1').replace('ranking', 'anomaly'),
      'latin1',
    );
    expect(() => loadModel(changed)).toThrow(/cannot have the task anomaly/);
  });
});
