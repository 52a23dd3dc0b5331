import type { Matrix } from '../matrix.ts';
import type { SeededRandom } from '../random.ts';
import { isolationPathLength } from './path-length.ts';
import type { PathTreesBuilder } from './path-trees.ts';

/** @internal What the trees of a forest share while they grow. */
export interface IsolationGrowth {
  readonly features: Matrix;
  readonly random: SeededRandom;
  readonly builder: PathTreesBuilder;
  readonly depthMax: number;
  /** Leaves hold path lengths divided by this. */
  readonly trees: number;
  /** All columns, in whatever order the last draw left them. */
  readonly columns: Int32Array;
}

interface OpenNode {
  readonly node: number;
  readonly depth: number;
  /** Its part of the rows. */
  readonly start: number;
  readonly end: number;
}

/**
 * @internal Grows one isolation tree on the given rows, which it reorders. A node draws one of the columns
 * that vary among its rows, and a threshold evenly between the column's smallest and largest value there. Rows
 * without a value follow the larger part of those that have one: to be missing is no evidence of being rare.
 * A node whose rows are all alike, or at the depth limit, is a leaf; its path length is its depth plus what
 * its rows would still need on average.
 */
export function growIsolationTree(growth: IsolationGrowth, rows: Int32Array): void {
  const { builder, depthMax, trees } = growth;
  const open: OpenNode[] = [{ node: builder.startTree(rows.length), depth: 0, start: 0, end: rows.length }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { node, depth, start, end } = next;
    const own = rows.subarray(start, end);
    const split = depth < depthMax && own.length > 1 ? drawSplit(growth, own) : undefined;
    if (split === undefined) {
      builder.setLeaf(node, Math.fround((depth + isolationPathLength(own.length)) / trees));
      continue;
    }
    const border = start + partition(growth.features, own, split);
    const left = builder.split(node, { ...split, leftCover: border - start });
    open.push({ node: left + 1, depth: depth + 1, start: border, end });
    open.push({ node: left, depth: depth + 1, start, end: border });
  }
}

interface IsolationSplit {
  readonly feature: number;
  readonly threshold: number;
  readonly missingLeft: boolean;
}

function drawSplit(growth: IsolationGrowth, rows: Int32Array): IsolationSplit | undefined {
  const { features, random, columns } = growth;
  // Columns are drawn without repetition until one varies, so those that vary are equally likely.
  for (let drawn = 0; drawn < columns.length; drawn += 1) {
    const place = drawn + random.integer(columns.length - drawn);
    const feature = columns[place] as number;
    columns[place] = columns[drawn] as number;
    columns[drawn] = feature;
    let least = Number.POSITIVE_INFINITY;
    let most = Number.NEGATIVE_INFINITY;
    for (const row of rows) {
      const value = features.values[row * features.columns + feature] as number;
      // Both are false for a missing value.
      if (value < least) least = value;
      if (value > most) most = value;
    }
    if (!(least < most)) continue;
    const even = Math.fround(least + random.uniform() * (most - least));
    // Rounding may reach the largest value, which must stay on the right.
    const threshold = even < most ? even : least;
    return { feature, threshold, missingLeft: isLargerPartLeft(features, rows, { feature, threshold }) };
  }
  return undefined;
}

function isLargerPartLeft(
  features: Matrix,
  rows: Int32Array,
  split: { readonly feature: number; readonly threshold: number },
): boolean {
  let balance = 0;
  for (const row of rows) {
    const value = features.values[row * features.columns + split.feature] as number;
    if (value === value) balance += value <= split.threshold ? 1 : -1;
  }
  return balance >= 0;
}

/** Puts the rows that go left first and returns how many they are. */
function partition(features: Matrix, rows: Int32Array, split: IsolationSplit): number {
  let border = 0;
  for (let at = 0; at < rows.length; at += 1) {
    const row = rows[at] as number;
    const value = features.values[row * features.columns + split.feature] as number;
    if (!(value <= split.threshold || (value !== value && split.missingLeft))) continue;
    rows[at] = rows[border] as number;
    rows[border] = row;
    border += 1;
  }
  return border;
}
