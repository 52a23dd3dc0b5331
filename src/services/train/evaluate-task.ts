// Not the whole contract: a thread would load all its schemas.
import { PlatformError } from '../../contract/errors.ts';
import { aucRoc, averagePrecision, brier, cardPrecisionAtK, loadModel, logLoss } from '../../ml/index.ts';
import { type Part, readPart } from './part-file.ts';
import type { TaskContext } from './task-context.ts';

export interface EvaluateInput {
  readonly onnx: Uint8Array;
  /** The part to be judged by, as {@link readPart} takes it. */
  readonly part: Uint8Array;
}

/** Metrics by name. */
export type EvaluateOutput = Readonly<Record<string, number>>;

/** Entities that can be looked into on a day, for `cardPrecision100`. */
const ENTITIES_A_DAY = 100;
/** Rows scored between two reports of progress. */
const BLOCK_ROWS = 65_536;

/** Scores the rows with the file that will serve, and measures. It depends on the input alone. */
export function run(input: EvaluateInput, context: TaskContext): EvaluateOutput {
  const part = readPart(input.part);
  const scores = scored(input.onnx, part, context);
  const { labels, days, entities } = part;
  return {
    aucRoc: aucRoc(labels, scores),
    averagePrecision: averagePrecision(labels, scores),
    logLoss: logLoss(labels, scores),
    brier: brier(labels, scores),
    ...(days === undefined || entities === undefined
      ? {}
      : {
          cardPrecision100: cardPrecisionAtK({ scores, labels, days, cards: entities, k: ENTITIES_A_DAY })
            .mean,
        }),
  };
}

function scored(onnx: Uint8Array, part: Part, context: TaskContext): Float64Array {
  const model = loadModel(onnx);
  const width = part.names.length;
  if (model.inputCount !== width || (model.inputNames ?? part.names).join('\n') !== part.names.join('\n')) {
    throw new PlatformError(
      'INTERNAL',
      `The model takes ${model.inputCount} other inputs than the ${width} of the vector`,
    );
  }
  const scores = new Float64Array(part.rows);
  for (let start = 0; start < part.rows; start += BLOCK_ROWS) {
    const rows = Math.min(BLOCK_ROWS, part.rows - start);
    model.predict(part.values.subarray(start * width), rows, scores.subarray(start));
    context.progress(start + rows, part.rows);
  }
  return scores;
}
