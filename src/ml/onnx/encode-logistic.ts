import type { LogisticModel } from '../linear/logistic.ts';
import { linearAnswer, linearMargin } from './encode-linear.ts';
import { encodeModel } from './encode-model.ts';
import { INPUT_NAME, OPSET_VERSION, OUTPUT_NAME } from './schema.ts';

export { FLOAT32_MAX } from './schema.ts';

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
  const { nodes, initializers } = linearMargin(model, INPUT_NAME);
  return encodeModel({
    graphName: 'logistic',
    inputCount: model.coefficients.length,
    inputNames,
    opsets: [{ domain: '', version: OPSET_VERSION }],
    nodes: [...nodes, ...linearAnswer(model, OUTPUT_NAME)],
    initializers,
  });
}
