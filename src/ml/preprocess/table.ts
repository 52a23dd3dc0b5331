/** A column of numbers. They are rounded to Float32, as in every model input; NaN means missing. */
export interface NumericColumn {
  readonly kind: 'numeric';
  readonly name: string;
  readonly values: ArrayLike<number>;
}

/**
 * A column of categories, which are texts: codes are written out (`String(code)`), so that one meaning has one
 * form in the table, in the description and in the exported graph. `null` and the empty text both mean
 * missing, because a text tensor has no other way to say so.
 */
export interface CategoricalColumn {
  readonly kind: 'categorical';
  readonly name: string;
  readonly values: readonly (string | null)[];
}

/** Named columns of equal length, before they are turned into the numbers a model takes. */
export interface Table {
  readonly rows: number;
  readonly columns: readonly (NumericColumn | CategoricalColumn)[];
}

/**
 * @internal The columns of a table by name.
 *
 * @throws RangeError when two have one name or one has another number of rows.
 */
export function columnsByName(table: Table): Map<string, NumericColumn | CategoricalColumn> {
  const { rows } = table;
  if (!Number.isSafeInteger(rows) || rows < 0) throw new RangeError(`${rows} is no number of rows`);
  const byName = new Map<string, NumericColumn | CategoricalColumn>();
  for (const column of table.columns) {
    if (byName.has(column.name)) throw new RangeError(`Two columns have the name "${column.name}"`);
    if (column.values.length !== rows) {
      throw new RangeError(
        `The column "${column.name}" has ${column.values.length} values, the table ${rows} rows`,
      );
    }
    byName.set(column.name, column);
  }
  return byName;
}

/**
 * @internal The numeric column of that name.
 *
 * @throws RangeError when there is none.
 */
export function numericColumn(
  columns: ReadonlyMap<string, NumericColumn | CategoricalColumn>,
  name: string,
): NumericColumn {
  const found = columns.get(name);
  if (found?.kind === 'numeric') return found;
  throw new RangeError(`The table needs a numeric column "${name}"; ${describe(found)}`);
}

/**
 * @internal The categorical column of that name.
 *
 * @throws RangeError when there is none.
 */
export function categoricalColumn(
  columns: ReadonlyMap<string, NumericColumn | CategoricalColumn>,
  name: string,
): CategoricalColumn {
  const found = columns.get(name);
  if (found?.kind === 'categorical') return found;
  throw new RangeError(`The table needs a categorical column "${name}"; ${describe(found)}`);
}

function describe(found: NumericColumn | CategoricalColumn | undefined): string {
  return found === undefined ? 'it has none of that name' : `the one it has is ${found.kind}`;
}

/**
 * @internal The category in a row; undefined when it is missing.
 *
 * @throws RangeError when the value is neither text nor null.
 */
export function categoryAt(column: CategoricalColumn, row: number): string | undefined {
  const value: unknown = column.values[row];
  if (value === null || value === '') return undefined;
  if (typeof value !== 'string') {
    throw new RangeError(`Row ${row} of "${column.name}" must be a text or null, not a ${typeof value}`);
  }
  return value;
}
