import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TreeEnsemble } from '../gbdt/ensemble.ts';
import { fitTrees } from '../gbdt/train.ts';
import type { LogisticModel } from '../linear/logistic.ts';
import { fitLogistic } from '../linear/logistic.ts';
import type { Matrix } from '../matrix.ts';
import { matrix } from '../matrix.ts';
import { SeededRandom } from '../random.ts';
import { encodeLogistic } from './encode-logistic.ts';
import { encodeModel, integerAttribute } from './encode-model.ts';
import { encodeTrees } from './encode-trees.ts';
import { MalformedModel, UnsupportedGraph } from './errors.ts';
import { READ_LIMITS } from './limits.ts';
import { loadModel } from './load-model.ts';
import type { ProtobufWriter } from './protobuf-writer.ts';

const COLUMNS = 6;
const NAMES = ['amount', 'count', 'mean', 'risk', 'Größe', 'age'];

/** Rows of different scales with a tenth of the values missing. */
function simulate(rows: number, seed: number): { features: Matrix; labels: number[] } {
  const random = new SeededRandom(seed);
  const labels: number[] = [];
  const values = new Float32Array(rows * COLUMNS);
  for (let row = 0; row < rows; row += 1) {
    let margin = 0;
    for (let column = 0; column < COLUMNS; column += 1) {
      const drawn = random.normal();
      margin += column % 2 === 0 ? drawn : -drawn * drawn + 1;
      values[row * COLUMNS + column] = random.uniform() < 0.1 ? Number.NaN : drawn * 10 ** (column - 2);
    }
    labels.push(random.uniform() < 1 / (1 + Math.exp(-margin)) ? 1 : 0);
  }
  return { features: matrix(rows, COLUMNS, values), labels };
}

const { features, labels } = simulate(3000, 1);
const TREES: TreeEnsemble = fitTrees(features, labels, { rounds: 40 });
const LOGISTIC: LogisticModel = fitLogistic(features, labels);

const EXTREMES = [
  0, -0, 1e-45, -1e-45, 1e-38, 1e30, -1e30, 3.4028234663852886e38, -3.4028234663852886e38, 1, -1, 1e9,
];

/** The Float32 after (or before) a number. */
function neighbour(value: number, step: number): number {
  const float = Float32Array.of(value);
  const bits = new Int32Array(float.buffer);
  bits[0] = (bits[0] ?? 0) + step;
  return float[0] ?? 0;
}

/** A thousand rows: random, extreme, at a threshold or next to one, infinite, missing. */
function hardRows(trees: TreeEnsemble): Float32Array {
  const random = new SeededRandom(99);
  const thresholds = [...trees.left.keys()].filter((node) => trees.left[node] !== -1);
  const rows = simulate(1000, 2).features.values;
  for (let row = 200; row < 1000; row += 1) {
    for (let column = 0; column < COLUMNS; column += 1) {
      const at = row * COLUMNS + column;
      const kind = row % 4;
      if (kind === 0) rows[at] = EXTREMES[random.integer(EXTREMES.length)] ?? 0;
      if (kind === 1 && random.uniform() < 0.5)
        rows[at] = random.uniform() < 0.5 ? Number.NaN : Number.POSITIVE_INFINITY;
      if (kind === 2 && random.uniform() < 0.3) rows[at] = Number.NEGATIVE_INFINITY;
    }
    if (row % 4 !== 3) continue;
    for (let change = 0; change < 4; change += 1) {
      const node = thresholds[random.integer(thresholds.length)] ?? 0;
      const threshold = trees.threshold[node] ?? 0;
      rows[row * COLUMNS + (trees.feature[node] ?? 0)] = neighbour(threshold, random.integer(3) - 1);
    }
  }
  return rows;
}

/** What ONNX Runtime answers. */
async function runtimeAnswers(bytes: Uint8Array, rows: Float32Array, columns: number): Promise<Float32Array> {
  const { InferenceSession, Tensor } = await import('onnxruntime-node');
  const session = await InferenceSession.create(bytes, { intraOpNumThreads: 1, interOpNumThreads: 1 });
  try {
    const input = new Tensor('float32', rows, [rows.length / columns, columns]);
    const { probability } = await session.run({ input });
    if (probability === undefined) throw new Error('There is no output "probability"');
    expect(probability.dims).toEqual([rows.length / columns, 1]);
    return probability.data as Float32Array;
  } finally {
    await session.release();
  }
}

async function expectSameAsRuntime(bytes: Uint8Array, rows: Float32Array, columns: number): Promise<void> {
  const count = rows.length / columns;
  const output = new Float64Array(count);
  loadModel(bytes).predict(rows, count, output);
  const expected = await runtimeAnswers(bytes, rows, columns);
  let largest = 0;
  for (let row = 0; row < count; row += 1) {
    const difference = Math.abs((output[row] ?? Number.NaN) - (expected[row] ?? Number.NaN));
    // Written so that NaN fails.
    if (!(difference <= largest)) largest = difference;
  }
  expect(largest).toBeLessThan(1e-5);
}

describe('models in ONNX Runtime', () => {
  it('answers as the compiled trees do', async () => {
    await expectSameAsRuntime(encodeTrees(TREES, NAMES), hardRows(TREES), COLUMNS);
  });

  it('answers as the compiled logistic regression does', async () => {
    await expectSameAsRuntime(encodeLogistic(LOGISTIC, NAMES), hardRows(TREES), COLUMNS);
  });

  it('answers the same to leaf-wise trees, lone leaves and splits on missing alone', async () => {
    const leafWise = fitTrees(features, labels, { growth: 'leaf', rounds: 15, rowSample: 0.5 });
    await expectSameAsRuntime(encodeTrees(leafWise), hardRows(leafWise), COLUMNS);
    const lone = fitTrees(features, labels, { rounds: 2, minGain: 1e9 });
    await expectSameAsRuntime(encodeTrees(lone), hardRows(TREES), COLUMNS);
    const values = Float32Array.from({ length: 100 }, (_, row) => (row % 3 === 0 ? Number.NaN : 1));
    const onMissing = fitTrees(
      matrix(100, 1, values),
      Array.from(values, (value) => (value === 1 ? 0 : 1)),
    );
    const rows = Float32Array.of(1, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0);
    await expectSameAsRuntime(encodeTrees(onMissing), rows, 1);
  });
});

describe('loadModel', () => {
  const files: readonly (readonly [string, Uint8Array])[] = [
    ['trees', encodeTrees(TREES, NAMES)],
    ['logistic', encodeLogistic(LOGISTIC, NAMES)],
  ];

  it.each(files)('tells what the %s file says', (kind, bytes) => {
    expect(loadModel(bytes)).toMatchObject({ kind, inputCount: COLUMNS, inputNames: NAMES });
  });

  it('knows no names where the file has none', () => {
    expect(loadModel(encodeTrees(TREES)).inputNames).toBeUndefined();
  });

  it.each(files)('answers each row of %s alike whatever is beside it, and never NaN', (_, bytes) => {
    const model = loadModel(bytes);
    const rows = hardRows(TREES);
    const together = new Float64Array(1000);
    model.predict(rows, 1000, together);
    const alone = new Float64Array(1);
    for (let row = 0; row < 1000; row += 1) {
      model.predict(rows.subarray(row * COLUMNS, (row + 1) * COLUMNS), 1, alone);
      expect(Object.is(alone[0], together[row])).toBe(true);
      expect(alone[0]).toBeGreaterThanOrEqual(0);
      expect(alone[0]).toBeLessThanOrEqual(1);
    }
  });

  it('keeps the trees exactly', () => {
    const rows = hardRows(TREES);
    const output = new Float64Array(1000);
    loadModel(encodeTrees(TREES)).predict(rows, 1000, output);
    for (let row = 0; row < 1000; row += 1) {
      let margin = TREES.baseScores[0] ?? 0;
      for (const root of TREES.offsets.subarray(0, -1)) {
        let node = root;
        while ((TREES.left[node] ?? -1) >= 0) {
          const value = rows[row * COLUMNS + (TREES.feature[node] ?? 0)] ?? 0;
          const left = Number.isNaN(value)
            ? TREES.missingLeft[node] === 1
            : value <= (TREES.threshold[node] ?? 0);
          node = (left ? TREES.left[node] : TREES.right[node]) ?? 0;
        }
        margin += TREES.leaf[node] ?? 0;
      }
      expect(output[row]).toBe(1 / (1 + Math.exp(-margin)));
    }
  });

  it('keeps the logistic model exactly', () => {
    const row = Float32Array.of(0.01, -0.2, 3, Number.NaN, 50, 100);
    const margin = row.reduce((sum, value, column) => {
      const standardised = (value - (LOGISTIC.means[column] ?? 0)) / (LOGISTIC.scales[column] ?? 1);
      return Number.isNaN(value) ? sum : sum + standardised * (LOGISTIC.coefficients[column] ?? 0);
    }, LOGISTIC.intercept);
    const output = new Float64Array(1);
    loadModel(encodeLogistic(LOGISTIC)).predict(row, 1, output);
    expect(output[0]).toBe(1 / (1 + Math.exp(-margin)));
  });

  it('writes equal models as equal bytes', () => {
    expect(encodeTrees(structuredClone(TREES), NAMES)).toEqual(encodeTrees(TREES, NAMES));
    expect(encodeLogistic(structuredClone(LOGISTIC), NAMES)).toEqual(encodeLogistic(LOGISTIC, NAMES));
  });

  it('refuses arrays that are too short, and writes nothing beyond the rows asked for', () => {
    const model = loadModel(encodeLogistic(LOGISTIC));
    expect(() => model.predict(new Float32Array(11), 2, new Float64Array(2))).toThrow(
      /2 rows need 12 inputs/,
    );
    expect(() => model.predict(new Float32Array(12), 2, new Float64Array(1))).toThrow(RangeError);
    expect(() => model.predict(new Float32Array(12), -1, new Float64Array(1))).toThrow(RangeError);
    const output = new Float64Array(3).fill(7);
    model.predict(new Float32Array(18), 2, output);
    expect(output[2]).toBe(7);
  });

  it('refuses models that cannot be written', () => {
    expect(() => encodeTrees(TREES, ['one'])).toThrow(/6 inputs but 1 names/);
    expect(() => encodeTrees({ ...TREES, offsets: Int32Array.of(0) })).toThrow(/without trees/);
    expect(() => encodeLogistic({ ...LOGISTIC, intercept: Number.NaN })).toThrow(/finite/);
  });
});

describe('loadModel on other files', () => {
  const small = encodeTrees(fitTrees(features, labels, { rounds: 2, maxDepth: 2 }), NAMES);

  it('says that a file is cut short, wherever that is', () => {
    for (const bytes of [small, encodeLogistic(LOGISTIC, NAMES)]) {
      for (let length = 0; length < bytes.length; length += 1) {
        expect(() => loadModel(bytes.subarray(0, length))).toThrow(MalformedModel);
      }
    }
  });

  it('says what it found instead', () => {
    const found = (bytes: string | readonly number[]): string => {
      try {
        loadModel(Uint8Array.from(typeof bytes === 'string' ? Buffer.from(bytes) : bytes));
      } catch (error) {
        if (error instanceof MalformedModel) return error.message;
        throw error;
      }
      return 'a model';
    };
    expect(found('')).toContain('found an empty file');
    expect(found('{"trees": []}')).toContain('found JSON text');
    expect(found('PK\u0003\u0004...')).toContain('found a ZIP archive');
    expect(found([0x1f, 0x8b, 8, 0])).toContain('found a gzip file');
    expect(found('<!doctype html>')).toContain('found XML or HTML text');
    expect(found('tree\nversion=v4')).toContain('LightGBM');
    expect(found([0x80, 5, 0x95, 0])).toContain('found a Python pickle');
    expect(found([0xfe, 0xff])).toContain('found bytes that begin with feff');
  });

  it('answers damaged bytes with one of its errors or with a model that can be used', () => {
    const damage = fc.array(fc.tuple(fc.nat({ max: small.length - 1 }), fc.nat({ max: 255 })), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(damage, (changes) => {
        const bytes = small.slice();
        for (const [at, byte] of changes) bytes[at] = byte;
        try {
          const model = loadModel(bytes);
          model.predict(new Float32Array(model.inputCount), 1, new Float64Array(model.outputCount));
        } catch (error) {
          expect(error instanceof MalformedModel || error instanceof UnsupportedGraph).toBe(true);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('refuses nodes that are no trees', () => {
    const first = TREES.offsets[1] ?? 0;
    const second = TREES.offsets[2] ?? 0;
    const changed = (field: 'left' | 'right' | 'feature', node: number, value: number): Uint8Array => {
      const copy = TREES[field].slice();
      copy[node] = value;
      return encodeTrees({ ...TREES, [field]: copy });
    };
    // A circle, a child in the next tree, an input that does not exist.
    expect(() => loadModel(changed('left', first, first))).toThrow(/has a node with child/);
    expect(() => loadModel(changed('right', first, second))).toThrow(UnsupportedGraph);
    expect(() => loadModel(changed('feature', first, COLUMNS))).toThrow(/reads input 6 of 6/);
  });

  it('names the operator it does not know', () => {
    const relu = encodeModel({
      graphName: 'other',
      inputCount: 2,
      inputNames: undefined,
      opsets: [{ domain: '', version: 17 }],
      nodes: [{ operator: 'Relu', inputs: ['input'], output: 'probability' }],
      initializers: [],
    });
    expect(() => loadModel(relu)).toThrow(new UnsupportedGraph('The operator Relu is not supported', 'Relu'));
    const foreign = encodeModel({
      graphName: 'other',
      inputCount: 2,
      inputNames: undefined,
      opsets: [{ domain: 'com.example', version: 1 }],
      nodes: [{ operator: 'Sigmoid', domain: 'com.example', inputs: ['input'], output: 'probability' }],
      initializers: [],
    });
    expect(() => loadModel(foreign)).toThrow(/com\.example\.Sigmoid is not supported/);
  });

  it('refuses known operators in another arrangement or version', () => {
    const alone = (version: number, attributes: ProtobufWriter[] = []): Uint8Array =>
      encodeModel({
        graphName: 'other',
        inputCount: 2,
        inputNames: undefined,
        opsets: [{ domain: '', version }],
        nodes: [{ operator: 'Sigmoid', inputs: ['input'], output: 'probability', attributes }],
        initializers: [],
      });
    expect(() => loadModel(alone(17))).toThrow(
      /must come from ai.onnx.ml.TreeEnsembleRegressor, not from no node/,
    );
    expect(() => loadModel(alone(9, [integerAttribute('x', 1)]))).toThrow(
      /ai.onnx must have version 17, not 9/,
    );
  });

  it('keeps its limits', () => {
    expect(() => loadModel(small, { ...READ_LIMITS, bytesMax: 100 })).toThrow(/the limit is 100/);
    expect(() => loadModel(small, { ...READ_LIMITS, elementsMax: 50 })).toThrow(
      /more fields and list elements/,
    );
    expect(() => loadModel(small, { ...READ_LIMITS, depthMax: 2 })).toThrow(/nested more than 2 deep/);
  });
});
