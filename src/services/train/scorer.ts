import type { CompiledModel, Split } from '../../ml/index.ts';
import { foldOfRows } from './deal-folds.ts';
import type { Part } from './part-file.ts';

/**
 * Writes the score of each row of `values` to the start of `output`. `rows` says which judged row each of them is, or is made of:
 * in a cross-validation that decides which model scores it.
 */
export type Scorer = (values: Float32Array, rows: ArrayLike<number>, output: Float64Array) => void;

/** Rows scored between two reports of progress. */
const BLOCK_ROWS = 65_536;

/** Scores all rows by one model. */
export function modelScorer(model: CompiledModel): Scorer {
  return (values, rows, output) => model.predict(values, rows.length, output);
}

/** Scores each row by the model that did not learn from it. */
export function foldScorer(
  { models, splits }: { readonly models: readonly CompiledModel[]; readonly splits: readonly Split[] },
  rows: number,
): Scorer {
  const foldOf = foldOfRows(splits, rows);
  return (values, given, output) => {
    models.forEach((model, fold) => {
      const width = model.inputCount;
      const own = Int32Array.from({ length: given.length }, (_, index) => index).filter(
        (index) => foldOf[given[index] as number] === fold,
      );
      const input = new Float32Array(own.length * width);
      own.forEach((index, place) =>
        input.set(values.subarray(index * width, (index + 1) * width), place * width),
      );
      const scores = new Float64Array(own.length);
      model.predict(input, own.length, scores);
      own.forEach((index, place) => (output[index] = scores[place] as number));
    });
  };
}

/** The scores of all rows of a part. */
export function scoresOf(
  scorer: Scorer,
  part: Part,
  progress: (done: number, total: number) => void,
): Float64Array {
  const width = part.names.length;
  const scores = new Float64Array(part.rows);
  for (let start = 0; start < part.rows; start += BLOCK_ROWS) {
    const count = Math.min(BLOCK_ROWS, part.rows - start);
    const rows = Int32Array.from({ length: count }, (_, index) => start + index);
    scorer(part.values.subarray(start * width, (start + count) * width), rows, scores.subarray(start));
    progress(start + count, part.rows);
  }
  return scores;
}
