import type { Matrix } from '../matrix.ts';
import { checkMatrix } from '../matrix.ts';
import { SeededRandom } from '../random.ts';
import { growIsolationTree } from './grow-isolation-tree.ts';
import type { IsolationOptions, ResolvedIsolationOptions } from './isolation-options.ts';
import { resolveIsolationOptions } from './isolation-options.ts';
import { isolationPathLength } from './path-length.ts';
import type { PathTrees } from './path-trees.ts';
import { PathTreesBuilder } from './path-trees.ts';

/**
 * An isolation forest. The score of a row is 2^(-margin / normalisation), in (0, 1), where the margin is its
 * mean path length over the trees: near 1 for rows that are isolated at once, about 0.5 for average ones.
 */
export interface IsolationForest {
  readonly kind: 'isolation-forest';
  readonly trees: PathTrees;
  /** Rows that each tree saw. */
  readonly subsampleSize: number;
  /** Path length of an average row: c(subsampleSize). */
  readonly normalisation: number;
  /** Rows with at least this score are anomalies. */
  readonly threshold: number;
}

/** A forest as an ensemble of trees for any walker, and what to do with the margin that it gives. */
export interface IsolationEnsemble {
  readonly trees: PathTrees;
  /** The score is `2 ** (-margin / normalisation)`. */
  readonly normalisation: number;
}

/** The threshold without a known share of anomalies. */
const AVERAGE_SCORE = 0.5;
/** Rows that go through one tree before the next tree's nodes push it out of the cache. */
const BLOCK_ROWS = 128;

/**
 * Fits an isolation forest (Liu, Ting and Zhou, "Isolation forest", 2008, and "Isolation-based anomaly
 * detection", 2012): trees of random splits, in which rare and distant rows soon end alone.
 *
 * @param features one row for each case; NaN is missing and follows the larger part of a node's rows;
 *   infinite values are refused.
 * @throws RangeError on fewer than 2 rows, no columns, an infinite value, or an option out of its bounds.
 */
export function fitIsolationForest(features: Matrix, options: IsolationOptions = {}): IsolationForest {
  checkTrainingRows(features);
  const resolved = resolveIsolationOptions(options, features.rows);
  const random = new SeededRandom(resolved.seed);
  const builder = new PathTreesBuilder();
  const columns = Int32Array.from({ length: features.columns }, (_, column) => column);
  const { depthMax, trees } = resolved;
  for (let tree = 0; tree < trees; tree += 1) {
    const rows = drawRows(random, features.rows, resolved.subsampleSize);
    growIsolationTree({ features, random, builder, depthMax, trees, columns }, rows);
  }
  const forest: IsolationForest = {
    kind: 'isolation-forest',
    trees: builder.build(features.columns),
    subsampleSize: resolved.subsampleSize,
    normalisation: isolationPathLength(resolved.subsampleSize),
    threshold: AVERAGE_SCORE,
  };
  return { ...forest, threshold: thresholdOf(forest, features, resolved) };
}

/**
 * The anomaly score of each row. A row's score does not depend on the rows beside it.
 *
 * @throws RangeError when the rows have another number of columns than the forest was fitted on.
 */
export function scoreAnomalies(forest: IsolationForest, features: Matrix): Float64Array {
  checkMatrix(features, 'matrix to score');
  if (features.columns !== forest.trees.featureCount) {
    throw new RangeError(
      `The forest has ${forest.trees.featureCount} inputs but the rows have ${features.columns} columns`,
    );
  }
  const scores = new Float64Array(features.rows);
  for (let start = 0; start < features.rows; start += BLOCK_ROWS) {
    const end = Math.min(features.rows, start + BLOCK_ROWS);
    addPathLengths(forest.trees, features, { scores, start, end });
  }
  return scores.map((margin) => 2 ** (-margin / forest.normalisation));
}

/**
 * The forest in the form that `encodeTrees` writes and every walker of a `TreeEnsemble` reads. The transform
 * of the margin is not a sigmoid and remains to be done.
 */
export function isolationEnsemble(forest: IsolationForest): IsolationEnsemble {
  return { trees: forest.trees, normalisation: forest.normalisation };
}

function checkTrainingRows(features: Matrix): void {
  checkMatrix(features, 'training matrix');
  const { rows, columns, values } = features;
  if (rows < 2 || columns < 1) {
    throw new RangeError(`An isolation forest needs 2 rows and 1 column at least, not ${rows} x ${columns}`);
  }
  const infinite = values.findIndex((value) => Math.abs(value) === Number.POSITIVE_INFINITY);
  if (infinite >= 0) {
    throw new RangeError(
      `Row ${Math.floor(infinite / columns)} has ${values[infinite]} in column ${infinite % columns}`,
    );
  }
}

/**
 * Different rows in ascending order, by Floyd's algorithm (Bentley, 1987): its work grows with the rows drawn
 * and not with all that there are.
 */
function drawRows(random: SeededRandom, rows: number, count: number): Int32Array {
  const drawn = new Set<number>();
  for (let bound = rows - count; bound < rows; bound += 1) {
    const row = random.integer(bound + 1);
    drawn.add(drawn.has(row) ? bound : row);
  }
  return Int32Array.from(drawn).sort();
}

/** Adds up the leaves that some of the rows reach. */
function addPathLengths(
  trees: PathTrees,
  features: Matrix,
  block: { readonly scores: Float64Array; readonly start: number; readonly end: number },
): void {
  const { offsets, feature, threshold, left, right, leaf, missingLeft } = trees;
  const { scores, start, end } = block;
  for (let tree = 0; tree + 1 < offsets.length; tree += 1) {
    for (let row = start; row < end; row += 1) {
      const from = row * features.columns;
      let node = offsets[tree] as number;
      for (let child = left[node] as number; child >= 0; child = left[node] as number) {
        const value = features.values[from + (feature[node] as number)] as number;
        const goesLeft = value <= (threshold[node] as number) || (value !== value && missingLeft[node] === 1);
        node = goesLeft ? child : (right[node] as number);
      }
      scores[row] = (scores[row] as number) + (leaf[node] as number);
    }
  }
}

function thresholdOf(forest: IsolationForest, features: Matrix, options: ResolvedIsolationOptions): number {
  if (options.contamination === undefined) return AVERAGE_SCORE;
  const scores = scoreAnomalies(forest, features).sort();
  return scores[features.rows - Math.ceil(options.contamination * features.rows)] as number;
}
