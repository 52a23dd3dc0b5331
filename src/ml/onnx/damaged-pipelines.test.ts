import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitIsolationForest } from '../anomaly/isolation-forest.ts';
import type { Calibration } from '../calibrate/calibration.ts';
import { fitTrees } from '../gbdt/train.ts';
import type { LinearModel } from '../linear/predictor.ts';
import { matrix } from '../matrix.ts';
import { Preprocessor } from '../preprocess/preprocessor.ts';
import { SeededRandom } from '../random.ts';
import type { NodeToEncode } from './encode-model.ts';
import { castNode, doubleTensor, encodeModel, integerAttribute, integerTensor } from './encode-model.ts';
import type { Pipeline } from './encode-pipeline.ts';
import { encodePipeline } from './encode-pipeline.ts';
import { MalformedModel, UnsupportedGraph } from './errors.ts';
import { loadModel } from './load-model.ts';
import { DATA_TYPE, OPSET_VERSION } from './schema.ts';

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
      model: sumOf(8),
      preprocessor: Preprocessor.of({
        format: 'preprocessor',
        version: 1,
        steps: [
          { kind: 'numeric', column: 'n', fill: 1, indicator: true, mean: 0, scale: 2 },
          { kind: 'codes', column: 'm', categories: ['x', 'y'] },
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

  it('are refused when a few bytes repeat a table', () => {
    const wide: NodeToEncode = {
      operator: 'Concat',
      inputs: ['input', 'input', 'input'],
      output: 'probability',
      attributes: [integerAttribute('axis', 1)],
    };
    expect(() => loadModel(another([wide]))).toThrow(/Concat reads values again and again/);
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
