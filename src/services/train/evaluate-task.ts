// Not the whole contract: a thread would load all its schemas.
import { PlatformError } from '../../contract/errors.ts';
import { type CompiledModel, loadModel } from '../../ml/index.ts';
import { reportOf } from './measure-report.ts';
import { type Part, readPart } from './part-file.ts';
import type { ModelReport } from './report.ts';
import type { TaskContext } from './task-context.ts';

export interface EvaluateInput {
  readonly onnx: Uint8Array;
  /** The part to be judged by, as {@link readPart} takes it. */
  readonly part: Uint8Array;
  /** The part that it was learnt from. */
  readonly train: Uint8Array;
  readonly seed: number;
}

export type EvaluateOutput = ModelReport;

/** Rows scored between two reports of progress. */
const BLOCK_ROWS = 65_536;

/** Scores the rows with the file that will serve, and measures. It depends on the input alone. */
export function run({ onnx, part, train, seed }: EvaluateInput, context: TaskContext): EvaluateOutput {
  const test = readPart(part);
  const model = modelFor(onnx, test);
  const scores = scored(model, test, context);
  return reportOf({ train: readPart(train), test, scores, model, seed });
}

function modelFor(onnx: Uint8Array, { names }: Part): CompiledModel {
  const model = loadModel(onnx);
  if (model.inputCount !== names.length || (model.inputNames ?? names).join('\n') !== names.join('\n')) {
    throw new PlatformError(
      'INTERNAL',
      `The model takes ${model.inputCount} other inputs than the ${names.length} of the vector`,
    );
  }
  return model;
}

function scored(model: CompiledModel, part: Part, context: TaskContext): Float64Array {
  const width = part.names.length;
  const scores = new Float64Array(part.rows);
  for (let start = 0; start < part.rows; start += BLOCK_ROWS) {
    const rows = Math.min(BLOCK_ROWS, part.rows - start);
    model.predict(part.values.subarray(start * width), rows, scores.subarray(start));
    context.progress(start + rows, part.rows);
  }
  return scores;
}
