import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { calibrate } from '../calibrate/calibration.ts';
import type { Calibration } from '../calibrate/calibration.ts';
import type { LogisticModel } from '../linear/logistic.ts';
import type { LinearModel } from '../linear/predictor.ts';
import { linearPredictor } from '../linear/predictor.ts';
import type { PreprocessorDescription, StepDescription } from '../preprocess/description.ts';
import { Preprocessor } from '../preprocess/preprocessor.ts';
import type { Table } from '../preprocess/table.ts';
import { encodePipeline } from './encode-pipeline.ts';
import type { CompiledModel } from './load-model.ts';
import { loadModel } from './load-model.ts';
import type { MixedRows } from './row-encoder.ts';

const finite = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 });
const scale = fc.double({ noNaN: true, min: 1e-6, max: 1e6 });
const value = fc.oneof(
  { weight: 8, arbitrary: fc.float({ noNaN: true, min: -1000, max: 1000 }) },
  fc.constantFrom(Number.NaN, Infinity, -Infinity, -0, 1e-45, 3.4028234663852886e38),
  // Codes, and what is none.
  { weight: 3, arbitrary: fc.constantFrom(0, 1, 2, 5, 6, -1, 0.5) },
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
  fc.record({
    kind: fc.constant('codes' as const),
    column: fc.constantFrom('n0', 'n1', 'n2'),
    categories: fc.uniqueArray(category, { minLength: 1, maxLength: 6 }),
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
    const texts = input.categories.map((text) => text ?? '');
    const [answer] = Object.values(
      await session.run({
        ...(input.numbers.length > 0 && {
          input: new Tensor('float32', input.numbers, [ROWS, input.numbers.length / ROWS]),
        }),
        ...(texts.length > 0 && { categories: new Tensor('string', texts, [ROWS, texts.length / ROWS]) }),
      }),
    );
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
