import { describe, expect, it } from 'vitest';
import { encodeLogistic } from '../../ml/onnx/encode-logistic.ts';
import { loadModel } from '../../ml/onnx/load-model.ts';
import { reasonsOf } from './reasons.ts';
import { ServedModel } from './served-model.ts';

function modelOf(coefficients: readonly number[]): ServedModel {
  const zeros = new Float64Array(coefficients.length);
  const bytes = encodeLogistic({
    kind: 'logistic',
    means: zeros,
    scales: zeros.map(() => 1),
    coefficients: Float64Array.from(coefficients),
    intercept: 0.5,
    iterations: 0,
  });
  return new ServedModel(loadModel(bytes));
}

describe('reasons', () => {
  const names = ['a', 'b', 'c', 'd'];

  it('are the strongest first, of equal ones the first input, without what adds nothing', () => {
    const model = modelOf([1, -2, 2, 1]);
    expect(reasonsOf(model, { names, values: [1, 1, 1, null] }, 10)).toEqual({
      base: 0.5,
      scale: 'log odds',
      reasons: [
        { input: 'b', value: 1, contribution: -2 },
        { input: 'c', value: 1, contribution: 2 },
        { input: 'a', value: 1, contribution: 1 },
      ],
    });
    expect(reasonsOf(model, { names, values: [1, 1, 1, 1] }, 1).reasons).toHaveLength(1);
  });

  it('say what a code stands for', () => {
    const categories = [['F', 'M'], undefined, ['x'], ['y']];
    const { reasons } = reasonsOf(modelOf([1, 1, 1, 1]), { names, values: [1, 1, 5, null], categories }, 4);
    expect(reasons).toEqual([
      { input: 'c', value: 5, contribution: 5 },
      { input: 'a', value: 1, category: 'M', contribution: 1 },
      { input: 'b', value: 1, contribution: 1 },
    ]);
  });

  it('are numbers that JSON has', () => {
    const { reasons } = reasonsOf(modelOf([1e308, 0, -1e308, 1]), { names, values: [1e30, 1, 1e30, -0] }, 4);
    expect(JSON.parse(JSON.stringify(reasons))).toEqual(reasons);
    expect(reasons.map(({ contribution }) => contribution)).toEqual([Number.MAX_VALUE, -Number.MAX_VALUE]);
  });
});
