import type { Matrix } from '../matrix.ts';
import { checkMatrix } from '../matrix.ts';
import { rankCategories } from './categories.ts';
import type { TreeEnsemble } from './ensemble.ts';
import { applyLink } from './link.ts';

/**
 * The answers of an ensemble, row after row: `answers[row * outputs + output]`. The exported model gives the
 * same, bit for bit, when it is evaluated in process.
 *
 * @throws RangeError when the matrix has another number of columns than the ensemble has inputs.
 */
export function predictTrees(model: TreeEnsemble, features: Matrix): Float64Array {
  checkMatrix(features, 'matrix');
  if (features.columns !== model.featureCount) {
    throw new RangeError(`The model takes ${model.featureCount} columns, not ${features.columns}`);
  }
  const { outputs, baseScores, offsets, leaf } = model;
  const { rows, columns, values } = rankCategories(model.categories, features);
  const answers = new Float64Array(rows * outputs);
  for (let row = 0; row < rows; row += 1) {
    answers.set(baseScores, row * outputs);
    for (let tree = 0; tree + 1 < offsets.length; tree += 1) {
      const at = row * outputs + (tree % outputs);
      const node = leafOf(model, offsets[tree] as number, { values, start: row * columns });
      answers[at] = (answers[at] as number) + (leaf[node] as number);
    }
  }
  applyLink(model.link, { values: answers, outputs, start: 0, end: rows });
  return answers;
}

/** The leaf that a row of numbers and ranks reaches below a node. */
function leafOf(
  model: TreeEnsemble,
  root: number,
  row: { readonly values: Float32Array; readonly start: number },
): number {
  const { feature, threshold, equality, left, right, missingLeft } = model;
  const { values, start } = row;
  let node = root;
  while ((left[node] as number) >= 0) {
    const value = values[start + (feature[node] as number)] as number;
    const cut = threshold[node] as number;
    const within = equality[node] === 1 ? value === cut : value <= cut;
    const goesLeft = within || (value !== value && missingLeft[node] === 1);
    node = (goesLeft ? left[node] : right[node]) as number;
  }
  return node;
}
