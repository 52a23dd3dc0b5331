// Not the whole contract: a thread would load all its schemas.
import { PlatformError } from '../../contract/errors.ts';
import { type CompiledModel, loadModel, MalformedModel, UnsupportedGraph } from '../../ml/index.ts';

export interface CheckInput {
  /** The file that somebody else wrote. */
  readonly onnx: Uint8Array;
  /** The inputs that it must have, in this order. */
  readonly names: readonly string[];
}

export interface CheckOutput {
  readonly kind: CompiledModel['kind'];
}

/**
 * Looks whether a model that was made elsewhere can be served: it is of a form that is evaluated here, and has the
 * vector's inputs in the vector's order. Throws UNPROCESSABLE that says what is missing.
 */
export function run({ onnx, names }: CheckInput): CheckOutput {
  const model = loaded(onnx);
  if (model.inputCount !== names.length) {
    throw refused(`it takes ${model.inputCount} inputs, the vector has ${names.length}`);
  }
  const { inputNames } = model;
  if (inputNames === undefined) {
    throw refused(
      `it does not tell the names of its inputs: its metadata needs 'feature_names', a JSON array in the order of the inputs`,
    );
  }
  const wrong = names.findIndex((name, index) => inputNames[index] !== name);
  if (wrong >= 0) {
    const [found, wanted] = [inputNames[wrong], names[wrong]].map((name) => JSON.stringify(name));
    throw refused(`its input ${wrong} is ${found}, that of the vector is ${wanted}`);
  }
  assertProbabilities(model);
  return { kind: model.kind };
}

function loaded(onnx: Uint8Array): CompiledModel {
  try {
    return loadModel(onnx);
  } catch (error) {
    if (error instanceof MalformedModel) throw refused(`it is no ONNX model: ${error.message}`, error);
    if (!(error instanceof UnsupportedGraph)) throw error;
    throw refused(
      `this platform evaluates logistic regressions and ensembles of trees in the forms of docs/build/external-trainers.md, ` +
        `and this is another: ${error.message}`,
      error,
    );
  }
}

/** A row of zeros and one without values: weights that are no numbers show there. */
function assertProbabilities(model: CompiledModel): void {
  const rows = new Float32Array(2 * model.inputCount).fill(Number.NaN, model.inputCount);
  const scores = new Float64Array(2);
  model.predict(rows, 2, scores);
  if (scores.every((score) => score >= 0 && score <= 1)) return;
  throw refused(`it answers ${scores.join(' and ')} to a row of zeros and to one without values`);
}

function refused(why: string, cause?: Error): PlatformError {
  return new PlatformError('UNPROCESSABLE', `model.onnx cannot be used: ${why}`, { cause });
}
