import type { Matrix } from '../matrix.ts';
import type { Explanation } from './explanation.ts';

/** One input's part in a decision. */
export interface Reason {
  readonly name: string;
  /** Column of the input. */
  readonly column: number;
  /** The row's value, `null` when it is missing. */
  readonly value: number | null;
  /** Its part of the margin. */
  readonly contribution: number;
  /** Whether it raised or lowered the margin. */
  readonly direction: 'up' | 'down';
}

/** A decision in few words: expected + contributions of the reasons + rest = margin. */
export interface Reasons {
  readonly expected: number;
  readonly margin: number;
  /** By falling size of the contribution; of equal ones the first column first. None of contribution 0. */
  readonly reasons: readonly Reason[];
  /** Sum of the contributions that are not listed. */
  readonly rest: number;
}

export interface ReasonsOptions {
  /** Row of the explanation and of the features. */
  readonly row: number;
  /** Default 0. */
  readonly output?: number;
  /** Name of each input. */
  readonly names: readonly string[];
  /** Most reasons listed. Default 5. */
  readonly count?: number;
  /** List only those that raised or lowered the margin. Default `both`. */
  readonly direction?: 'up' | 'down' | 'both';
}

/**
 * The largest contributions to the answer for one row, to be told to whom it concerns.
 *
 * @throws RangeError when the features are not those that were explained, or on a row, output, count or
 *   number of names that does not fit.
 */
export function topReasons(explanation: Explanation, features: Matrix, options: ReasonsOptions): Reasons {
  const { row, output = 0, names, count = 5, direction = 'both' } = options;
  const { rows, columns, outputs } = explanation;
  if (features.rows !== rows || features.columns !== columns) {
    throw new RangeError(
      `The explanation is of ${rows} x ${columns} features, not of ${features.rows} x ${features.columns}`,
    );
  }
  if (names.length !== columns) throw new RangeError(`There are ${columns} inputs but ${names.length} names`);
  inRange('row', row, rows);
  inRange('output', output, outputs);
  inRange('count', count, Number.MAX_SAFE_INTEGER);
  const start = (row * outputs + output) * columns;
  const contributions = explanation.values.subarray(start, start + columns);
  const expected = explanation.expected[output] as number;
  const listed: Reason[] = names
    .map((name, column): Reason => {
      const value = features.values[row * columns + column] as number;
      const contribution = contributions[column] as number;
      return {
        name,
        column,
        value: Number.isNaN(value) ? null : value,
        contribution,
        direction: contribution > 0 ? 'up' : 'down',
      };
    })
    .filter((reason) => reason.contribution !== 0 && (direction === 'both' || reason.direction === direction))
    .sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution) || a.column - b.column)
    .slice(0, count);
  const told = new Set(listed.map((reason) => reason.column));
  return {
    expected,
    margin: contributions.reduce((sum, contribution) => sum + contribution, expected),
    reasons: listed,
    rest: contributions.reduce(
      (sum, contribution, column) => (told.has(column) ? sum : sum + contribution),
      0,
    ),
  };
}

function inRange(name: string, value: number, bound: number): void {
  if (!Number.isSafeInteger(value) || value < 0 || value >= bound) {
    throw new RangeError(`${name} must be a whole number from 0 to ${bound - 1}, not ${value}`);
  }
}
