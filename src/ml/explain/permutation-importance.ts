import type { Matrix } from '../matrix.ts';
import { checkMatrix } from '../matrix.ts';
import { SeededRandom } from '../random.ts';

/** Most permutations of one group. */
export const PERMUTATION_REPEATS_MAX = 1000;

/** Columns that are permuted together, as those of a one-hot code must be. */
export interface ColumnGroup {
  readonly name: string;
  readonly columns: readonly number[];
}

export interface PermutationOptions {
  /** Permutations of each group. Default 5, at most {@link PERMUTATION_REPEATS_MAX}. */
  readonly repeats?: number;
  /** Seed of the permutations. Default 0. */
  readonly seed?: number;
  /** Default each column by itself, named by its number. */
  readonly groups?: readonly ColumnGroup[];
  /** Whether a `higher` or a `lower` score is the better one. Default `higher`. */
  readonly better?: 'higher' | 'lower';
}

export interface GroupImportance extends ColumnGroup {
  /** Mean over the repeats of how much worse the score became; negative when it became better. */
  readonly mean: number;
  /** Sample standard deviation over the repeats, 0 for a single one. */
  readonly spread: number;
  /** How much worse each repeat was. */
  readonly losses: Float64Array;
}

export interface PermutationImportance {
  /** Score of the rows as they are. */
  readonly baseline: number;
  /** In the order of the groups given. */
  readonly groups: readonly GroupImportance[];
}

/**
 * How much worse a score becomes when a group of columns is shuffled among the rows, so that it says nothing
 * any more (Breiman, "Random forests", 2001). Repeat r shuffles every group alike, so groups are compared on
 * the same luck, and the result of one does not depend on the others.
 *
 * @param score any measure of a model on rows, such as
 *   `(rows) => aucRoc(labels, predict(rows))`. It is given the same memory every time and must not keep or
 *   change it.
 * @throws RangeError on fewer than 2 rows, unsound options or groups, or when a score is not finite.
 */
export function permutationImportance(
  features: Matrix,
  score: (features: Matrix) => number,
  options: PermutationOptions = {},
): PermutationImportance {
  const { repeats = 5, seed = 0, better = 'higher' } = options;
  checkMatrix(features, 'matrix to permute');
  if (features.rows < 2) throw new RangeError(`Permuting needs at least 2 rows, not ${features.rows}`);
  if (!Number.isSafeInteger(repeats) || repeats < 1 || repeats > PERMUTATION_REPEATS_MAX) {
    throw new RangeError(
      `repeats must be a whole number from 1 to ${PERMUTATION_REPEATS_MAX}, not ${repeats}`,
    );
  }
  if (better !== 'higher' && better !== 'lower') {
    throw new RangeError(`better must be 'higher' or 'lower', not ${String(better)}`);
  }
  const groups = options.groups ?? everyColumn(features.columns);
  groups.forEach((group) => checkGroup(group, features.columns));
  const shuffled: Matrix = { ...features, values: features.values.slice() };
  const baseline = finite(score(shuffled), 'the rows as they are');
  const sign = better === 'higher' ? 1 : -1;
  const losses = groups.map(() => new Float64Array(repeats));
  const random = new SeededRandom(seed);
  const order = Int32Array.from({ length: features.rows }, (_, row) => row);
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    random.shuffle(order);
    groups.forEach((group, index) => {
      copyColumns(features, shuffled, { group, order });
      const reached = finite(score(shuffled), `group ${group.name}, repeat ${repeat}`);
      (losses[index] as Float64Array)[repeat] = sign * (baseline - reached);
      copyColumns(features, shuffled, { group });
    });
  }
  return { baseline, groups: groups.map((group, index) => summarise(group, losses[index] as Float64Array)) };
}

function everyColumn(columns: number): ColumnGroup[] {
  return Array.from({ length: columns }, (_, column) => ({ name: String(column), columns: [column] }));
}

function checkGroup(group: ColumnGroup, columns: number): void {
  if (group.columns.length === 0) throw new RangeError(`Group ${group.name} has no columns`);
  for (const column of group.columns) {
    if (!Number.isSafeInteger(column) || column < 0 || column >= columns) {
      throw new RangeError(`Group ${group.name} has column ${column}, there are ${columns}`);
    }
  }
}

/** Copies the columns of a group, in another order of rows if one is given. */
function copyColumns(
  from: Matrix,
  into: Matrix,
  what: { readonly group: ColumnGroup; readonly order?: Int32Array },
): void {
  const { rows, columns } = from;
  for (const column of what.group.columns) {
    for (let row = 0; row < rows; row += 1) {
      const source = what.order === undefined ? row : (what.order[row] as number);
      into.values[row * columns + column] = from.values[source * columns + column] as number;
    }
  }
}

function finite(score: number, what: string): number {
  if (!Number.isFinite(score)) throw new RangeError(`The score of ${what} is ${score}`);
  return score;
}

function summarise(group: ColumnGroup, losses: Float64Array): GroupImportance {
  const mean = losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
  const squares = losses.reduce((sum, loss) => sum + (loss - mean) ** 2, 0);
  const spread = losses.length > 1 ? Math.sqrt(squares / (losses.length - 1)) : 0;
  return { name: group.name, columns: group.columns, mean, spread, losses };
}
