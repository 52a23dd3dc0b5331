import type { LogisticModel } from '../linear/logistic.ts';
import { doubleTensor, encodeModel, integerAttribute } from './encode-model.ts';
import { DATA_TYPE, INPUT_NAME, OPSET_VERSION, OUTPUT_NAME } from './schema.ts';

/** Largest finite Float32. Larger inputs, that is infinite ones, count as this, so that no answer is NaN. */
export const FLOAT32_MAX = 3.4028234663852886e38;

/**
 * Writes a logistic regression as an ONNX model. All steps are part of it: a missing value becomes the mean,
 * then (x - mean) / scale, Gemm and Sigmoid. They compute in float64 and only the result is cast to float32:
 * single precision would lose digits where large terms cancel, and every runtime in another way.
 *
 * @param inputNames name of each input, kept in the metadata of the model
 * @throws RangeError when the model has no inputs, another number of names than inputs, or a number that is
 *   not finite.
 */
export function encodeLogistic(model: LogisticModel, inputNames?: readonly string[]): Uint8Array {
  const inputCount = model.coefficients.length;
  const numbers = [...model.means, ...model.scales, ...model.coefficients, model.intercept];
  if (!numbers.every(Number.isFinite))
    throw new RangeError('A logistic model must consist of finite numbers');
  return encodeModel({
    graphName: 'logistic',
    inputCount,
    inputNames,
    opsets: [{ domain: '', version: OPSET_VERSION }],
    nodes: [
      { operator: 'IsNaN', inputs: [INPUT_NAME], output: 'missing' },
      cast(INPUT_NAME, 'wide', DATA_TYPE.double),
      { operator: 'Clip', inputs: ['wide', 'least', 'most'], output: 'finite' },
      { operator: 'Where', inputs: ['missing', 'means', 'finite'], output: 'imputed' },
      { operator: 'Sub', inputs: ['imputed', 'means'], output: 'centred' },
      { operator: 'Div', inputs: ['centred', 'scales'], output: 'standardised' },
      { operator: 'Gemm', inputs: ['standardised', 'coefficients', 'intercept'], output: 'margin' },
      { operator: 'Sigmoid', inputs: ['margin'], output: 'wide_probability' },
      cast('wide_probability', OUTPUT_NAME, DATA_TYPE.float),
    ],
    initializers: [
      doubleTensor('least', [], [-FLOAT32_MAX]),
      doubleTensor('most', [], [FLOAT32_MAX]),
      doubleTensor('means', [inputCount], model.means),
      doubleTensor('scales', [inputCount], model.scales),
      doubleTensor('coefficients', [inputCount, 1], model.coefficients),
      doubleTensor('intercept', [1], [model.intercept]),
    ],
  });
}

function cast(
  input: string,
  output: string,
  type: number,
): Parameters<typeof encodeModel>[0]['nodes'][number] {
  return { operator: 'Cast', inputs: [input], output, attributes: [integerAttribute('to', type)] };
}
