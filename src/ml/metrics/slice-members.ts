import { binOf, quantileEdges } from './quantile-bins.ts';

/** Slices of one report: each costs a bootstrap, and nobody reads more. */
export const SLICES_MAX = 1000;

/** Bins of a numeric slicing column. */
export const SLICE_BINS_MAX = 100;

/** A column that parts the rows into slices. */
export type SliceColumn =
  | {
      readonly name: string;
      readonly kind: 'category';
      /** One value for each row; null is missing. */
      readonly values: ArrayLike<string | number | boolean | null>;
    }
  | {
      readonly name: string;
      readonly kind: 'number';
      /** One number for each row; NaN is missing. */
      readonly values: ArrayLike<number>;
      /** Bins of about equally many rows, 1 to 100; equal values stay together. Default 4. */
      readonly bins?: number;
    };

/** What the rows of a slice have in common. */
export type SliceValue =
  | { readonly kind: 'category'; readonly category: string | number | boolean }
  /** Numbers from `from`, below `to`; of the last bin `to` is the largest number and belongs to it. */
  | { readonly kind: 'range'; readonly from: number; readonly to: number; readonly last: boolean }
  | { readonly kind: 'missing' };

/** The rows of one slice. */
export interface SliceMembers {
  readonly column: string;
  readonly value: SliceValue;
  /** Row numbers, ascending. */
  readonly rows: readonly number[];
}

/**
 * The slices of all columns: column by column, the values of each in order, missing ones last.
 *
 * @throws RangeError on unsound columns, or on more than {@link SLICES_MAX} slices.
 */
export function membersOf(columns: readonly SliceColumn[], rows: number): SliceMembers[] {
  const names = new Set<string>();
  const slices: SliceMembers[] = [];
  for (const column of columns) {
    const { name, values } = column;
    if (names.has(name)) throw new RangeError(`The slicing column '${name}' is there twice`);
    names.add(name);
    if (values.length !== rows) {
      throw new RangeError(`There are ${rows} rows but the slicing column '${name}' has ${values.length}`);
    }
    const made = column.kind === 'category' ? categories(column) : ranges(column);
    if (slices.length + made.length > SLICES_MAX) {
      throw new RangeError(
        `The slicing columns up to '${name}' make ${slices.length + made.length} slices, ${SLICES_MAX} at most`,
      );
    }
    slices.push(...made);
  }
  return slices;
}

function categories(column: SliceColumn & { kind: 'category' }): SliceMembers[] {
  const rowsOf = new Map<string | number | boolean, number[]>();
  const missing: number[] = [];
  for (let row = 0; row < column.values.length; row += 1) {
    const value = column.values[row] as string | number | boolean | null;
    if (value === null || Number.isNaN(value)) {
      missing.push(row);
      continue;
    }
    const rows = rowsOf.get(value);
    if (rows === undefined) rowsOf.set(value, [row]);
    else rows.push(row);
  }
  const slices = [...rowsOf]
    .sort(([a], [b]) => compare(a, b))
    .map(([category, rows]) => ({
      column: column.name,
      value: { kind: 'category' as const, category },
      rows,
    }));
  return [...slices, ...missingSlice(column.name, missing)];
}

function ranges(column: SliceColumn & { kind: 'number' }): SliceMembers[] {
  const { name, values, bins = 4 } = column;
  if (!Number.isSafeInteger(bins) || bins < 1 || bins > SLICE_BINS_MAX) {
    throw new RangeError(
      `The bins of the slicing column '${name}' must be a whole number from 1 to ${SLICE_BINS_MAX}, not ${bins}`,
    );
  }
  const known = Float64Array.from(values).filter((value) => !Number.isNaN(value));
  const missing: number[] = [];
  const edges = known.length === 0 ? new Float64Array(0) : quantileEdges(known, bins);
  const rowsOf: number[][] = Array.from(edges, () => []);
  for (let row = 0; row < values.length; row += 1) {
    const value = values[row] as number;
    if (Number.isNaN(value)) missing.push(row);
    else (rowsOf[binOf(edges, value)] as number[]).push(row);
  }
  const largest = known.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  const slices = rowsOf.map((rows, bin) => ({
    column: name,
    value: {
      kind: 'range' as const,
      from: edges[bin] as number,
      to: edges[bin + 1] ?? largest,
      last: bin === edges.length - 1,
    },
    rows,
  }));
  return [...slices, ...missingSlice(name, missing)];
}

function missingSlice(column: string, rows: readonly number[]): SliceMembers[] {
  return rows.length === 0 ? [] : [{ column, value: { kind: 'missing' }, rows }];
}

/** Booleans, then numbers, then strings, each in order; strings by code unit, alike on every machine. */
function compare(a: string | number | boolean, b: string | number | boolean): number {
  if (typeof a !== typeof b) return typeof a < typeof b ? -1 : 1;
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
