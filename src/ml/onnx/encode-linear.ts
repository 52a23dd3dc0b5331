import type { LogisticModel } from '../linear/logistic.ts';
import type { MultinomialModel } from '../linear/multinomial.ts';
import type { RegressionModel } from '../linear/regression-model.ts';
import type { GraphPart, NodeToEncode } from './encode-model.ts';
import { castNode, doubleTensor } from './encode-model.ts';
import { DATA_TYPE, FLOAT32_MAX } from './schema.ts';

/** Name of the float64 margins of a model in a graph, and of the float64 answer before it is cast. */
export const MARGIN_NAME = 'margin';
export const WIDE_PROBABILITY_NAME = 'wide_probability';

type LinearModel = LogisticModel | MultinomialModel | RegressionModel;

/**
 * @internal The nodes from the features to the margins of a linear model, in float64: a missing value becomes
 * the mean, then (x - mean) / scale and Gemm.
 *
 * @param features name of the float32 value [n, number of features] that the model reads
 * @throws RangeError when a number of the model is not finite.
 */
export function linearMargin(model: LinearModel, features: string): GraphPart {
  const inputCount = model.means.length;
  const intercepts = model.kind === 'multinomial' ? model.intercepts : [model.intercept];
  for (const numbers of [model.means, model.scales, model.coefficients, intercepts]) {
    if (!numbers.every(Number.isFinite))
      throw new RangeError(`A ${model.kind} model must consist of finite numbers`);
  }
  return {
    nodes: [
      { operator: 'IsNaN', inputs: [features], output: 'missing' },
      castNode(features, 'wide', DATA_TYPE.double),
      { operator: 'Clip', inputs: ['wide', 'least', 'most'], output: 'finite' },
      { operator: 'Where', inputs: ['missing', 'means', 'finite'], output: 'imputed' },
      { operator: 'Sub', inputs: ['imputed', 'means'], output: 'centred' },
      { operator: 'Div', inputs: ['centred', 'scales'], output: 'standardised' },
      { operator: 'Gemm', inputs: ['standardised', 'coefficients', 'intercept'], output: MARGIN_NAME },
    ],
    initializers: [
      doubleTensor('least', [], [-FLOAT32_MAX]),
      doubleTensor('most', [], [FLOAT32_MAX]),
      doubleTensor('means', [inputCount], model.means),
      doubleTensor('scales', [inputCount], model.scales),
      doubleTensor(
        'coefficients',
        [inputCount, intercepts.length],
        transposed(model.coefficients, inputCount),
      ),
      doubleTensor('intercept', [intercepts.length], intercepts),
    ],
  };
}

/** @internal The nodes from float64 margins to the float32 output. */
export function linearAnswer(model: LinearModel, outputName: string): readonly NodeToEncode[] {
  if (model.kind === 'regression') return [castNode(MARGIN_NAME, outputName, DATA_TYPE.float)];
  const operator = model.kind === 'logistic' ? 'Sigmoid' : 'Softmax';
  return [
    { operator, inputs: [MARGIN_NAME], output: WIDE_PROBABILITY_NAME },
    castNode(WIDE_PROBABILITY_NAME, outputName, DATA_TYPE.float),
  ];
}

/** Output after output becomes column after column. */
function transposed(coefficients: Float64Array, columns: number): Float64Array {
  const outputs = coefficients.length / columns;
  return coefficients.map(
    (_, at) => coefficients[(at % outputs) * columns + Math.floor(at / outputs)] as number,
  );
}
