import { type Duration, durationMs } from './duration.ts';

/** A value that stands in the environment of the process that needs it, such as an address with a password. */
export interface EnvironmentValue {
  readonly type: 'env';
  /** Name of the variable. */
  readonly name: string;
}

/**
 * Names a variable of the environment. The definition holds the name alone; the value is read where it is used, and never
 * logged.
 *
 * @example
 * env('ORDERS_URL')
 */
export function env(name: string): EnvironmentValue {
  if (!/^[A-Z][A-Z0-9_]{0,127}$/.test(name) || name.startsWith('TANDEM_')) {
    throw new TypeError(
      `env() takes the name of a variable like 'ORDERS_URL', not beginning with TANDEM_; got '${name}'`,
    );
  }
  return { type: 'env', name };
}

export interface PostgresTableOptions {
  /** Address of the database: `env('ORDERS_URL')`. */
  readonly url: EnvironmentValue;
  /** Table or view, with its schema if that is not on the search path: `'orders'`, `'shop.orders'`. */
  readonly table: string;
  /** The column that identifies a row. */
  readonly id: string;
  /** The column with the time of the row's last change, which every change must set; an index on it and `id` makes polls cheap. */
  readonly updatedAt: string;
  /**
   * A column that marks deleted rows, of a source with `corrections: true`: true, or any value of another type, such as the time of the
   * deletion. The mark must set `updatedAt` like any change. Default: rows are never deleted.
   */
  readonly deleted?: string;
  /** Columns of fields that are called otherwise in the table, by field. Default: the field's own name. */
  readonly columns?: Readonly<Record<string, string>>;
  /** How long to wait at the end of the table. Default `'5s'`. */
  readonly every?: Duration;
  /**
   * How far behind the newest row to read again each time: a transaction that takes as long may commit rows older than others
   * that were read. Default `'1m'`.
   */
  readonly overlap?: Duration;
}

/** A table that ingest reads events from, as data. */
export interface PolledTable {
  readonly type: 'postgresTable';
  readonly variable: string;
  readonly table: string;
  readonly id: string;
  readonly updatedAt: string;
  readonly deleted?: string;
  readonly columns: Readonly<Record<string, string>>;
  readonly everyMs: number;
  readonly overlapMs: number;
}

/**
 * Says that a source's events are the states of the rows of a PostgreSQL table. The source's id field is made by ingest, of the
 * row's id and the time of its change: a changed row is a new event. With `corrections: true` it is the row's id alone: a changed row
 * corrects its event.
 *
 * @example
 * poll: postgresTable({ url: env('ORDERS_URL'), table: 'orders', id: 'order_id', updatedAt: 'updated_at' })
 */
export function postgresTable(options: PostgresTableOptions): PolledTable {
  const parts = options.table.split('.');
  if (parts.length > 2)
    throw new TypeError(`postgresTable(): '${options.table}' is no table or schema.table`);
  const marks = options.deleted === undefined ? [] : [options.deleted];
  for (const name of [
    ...parts,
    options.id,
    options.updatedAt,
    ...marks,
    ...Object.values(options.columns ?? {}),
  ]) {
    if (name === '' || name.length > 63 || name.includes('\0'))
      throw new TypeError(`postgresTable(): a name in PostgreSQL has 1 to 63 characters; got '${name}'`);
  }
  return {
    type: 'postgresTable',
    variable: options.url.name,
    table: options.table,
    id: options.id,
    updatedAt: options.updatedAt,
    ...(options.deleted === undefined ? {} : { deleted: options.deleted }),
    columns: options.columns ?? {},
    everyMs: durationMs(options.every ?? '5s'),
    overlapMs: durationMs(options.overlap ?? '1m'),
  };
}
