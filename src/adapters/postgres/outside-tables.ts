import pg from 'pg';
import { PlatformError } from '../../contract/errors.ts';
import type {
  OutsidePage,
  OutsidePageOptions,
  OutsideTables,
  PolledTable,
  TablePlace,
} from '../../runtime/ports/index.ts';
import { translate } from './failures.ts';

/** How other systems' databases are spoken to: little, and never for long. */
export const OUTSIDE_LIMITS = {
  /** Connections to one database. */
  connectionsMax: 2,
  /** How long connecting may take, in milliseconds. */
  connectMs: 10_000,
  /** How long a page may take, in milliseconds. */
  statementMs: 30_000,
  /** How long an idle connection is kept, in milliseconds. */
  idleMs: 30_000,
} as const;

export interface OutsideTablesOptions {
  /** Where the addresses stand. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly applicationName: string;
}

/**
 * The port `OutsideTables` on PostgreSQL, 14 or later. Each page is a read-only transaction of its own. What drivers and
 * servers say is not passed on: it may quote the address.
 */
export function postgresOutsideTables(options: OutsideTablesOptions): OutsideTables & AsyncDisposable {
  const pools = new Map<string, pg.Pool>();
  const poolOf = (variable: string): pg.Pool => {
    let pool = pools.get(variable);
    if (pool === undefined) {
      pool = makePool(variable, options);
      pools.set(variable, pool);
    }
    return pool;
  };
  return {
    async read(table, page) {
      try {
        const client = await poolOf(table.variable).connect();
        let failure: Error | undefined;
        try {
          return await readPage(client, table, page);
        } catch (error) {
          failure = error instanceof Error ? error : new Error('failed');
          throw error;
        } finally {
          // A connection that failed is not used again: its transaction may be open.
          client.release(failure);
        }
      } catch (error) {
        throw withoutSecrets(table, error);
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...pools.values()].map((pool) => pool.end()));
    },
  };
}

function makePool(variable: string, { environment, applicationName }: OutsideTablesOptions): pg.Pool {
  const connectionString = environment[variable] ?? '';
  if (connectionString === '') {
    throw new PlatformError('CONFIGURATION', `The variable ${variable} is not set; a polled table needs it`);
  }
  if (!/^postgres(ql)?:\/\//.test(connectionString) || !URL.canParse(connectionString)) {
    throw new PlatformError(
      'CONFIGURATION',
      `The variable ${variable} must look like postgres://user:password@host:5432/database`,
    );
  }
  const pool = new pg.Pool({
    connectionString,
    application_name: applicationName,
    max: OUTSIDE_LIMITS.connectionsMax,
    connectionTimeoutMillis: OUTSIDE_LIMITS.connectMs,
    idleTimeoutMillis: OUTSIDE_LIMITS.idleMs,
    query_timeout: OUTSIDE_LIMITS.statementMs + 5_000,
    allowExitOnIdle: true,
  });
  // A connection that breaks while nobody uses it: the next page learns more.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

async function readPage(
  client: pg.PoolClient,
  table: PolledTable,
  page: OutsidePageOptions,
): Promise<OutsidePage> {
  await client.query('begin transaction read only');
  await client.query(
    `set local timezone = 'UTC'; set local datestyle = 'ISO'; set local statement_timeout = ${String(OUTSIDE_LIMITS.statementMs)}`,
  );
  const types = await columnTypes(client, table, [table.id, table.updatedAt, ...page.columns]);
  const { text, values } = statement(table, page, types);
  const clock = await client.query<{ now: string }>(`select ${microseconds('clock_timestamp()')} as now`);
  const nowUs = Number(clock.rows[0]?.now);
  values[1] = instant(page.untilUs ?? nowUs);
  const found = await client.query<(string | null)[]>({ text, values, rowMode: 'array' });
  await client.query('commit');
  const rows = found.rows.map(([id, changed, ...cells]) => ({
    id: String(id),
    updatedAtUs: Number(changed),
    cells,
  }));
  return { rows, nowUs };
}

interface ColumnType {
  /** As SQL writes it. */
  readonly type: string;
  readonly isList: boolean;
}

/** Types of the columns by name. Throws CONFIGURATION when the table or a column is missing. */
async function columnTypes(
  client: pg.PoolClient,
  table: PolledTable,
  names: readonly string[],
): Promise<ReadonlyMap<string, ColumnType>> {
  const found = await client.query<{ name: string; type: string; category: string }>(
    `select a.attname as name, format_type(a.atttypid, null) as type, t.typcategory as category
     from pg_attribute a join pg_type t on t.oid = a.atttypid
     where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped`,
    [quotedTable(table)],
  );
  if (found.rows.length === 0) {
    throw new PlatformError(
      'CONFIGURATION',
      `The database of ${table.variable} has no table '${table.table}'`,
    );
  }
  const types = new Map(
    found.rows.map(({ name, type, category }) => [name, { type, isList: category === 'A' }] as const),
  );
  const missing = names.filter((name) => !types.has(name));
  if (missing.length > 0) {
    throw new PlatformError(
      'CONFIGURATION',
      `The table '${table.table}' of ${table.variable} has no column ${missing.map((name) => `'${name}'`).join(', ')}`,
      { details: { missing } },
    );
  }
  if (!types.get(table.updatedAt)?.type.startsWith('timestamp')) {
    throw new PlatformError(
      'CONFIGURATION',
      `The column '${table.updatedAt}' of '${table.table}' is no timestamp; its changes cannot be followed by it`,
    );
  }
  return types;
}

/** The statement of a page; the second of its values, the latest change to read, is filled in later. */
function statement(
  table: PolledTable,
  { after, columns, limit }: OutsidePageOptions,
  types: ReadonlyMap<string, ColumnType>,
): { readonly text: string; readonly values: unknown[] } {
  // With the table in front: a name alone would mean the text that the page gives of the column.
  const [id, changed] = [`polled.${quoted(table.id)}`, `polled.${quoted(table.updatedAt)}`];
  const typeOf = (name: string): string => types.get(name)?.type ?? 'text';
  const cells = columns.map((name) => asText(`polled.${quoted(name)}`, types.get(name)));
  const values: unknown[] = [limit, null];
  const conditions = [`${changed} <= $2::${typeOf(table.updatedAt)}`, `isfinite(${changed})`];
  if (after !== undefined) conditions.push(behind(after));
  return {
    text: `select ${id}::text, ${microseconds(changed)}${cells.map((cell) => `, ${cell}`).join('')}
      from ${quotedTable(table)} as polled where ${conditions.join(' and ')} order by ${changed}, ${id} limit $1`,
    values,
  };

  function behind(place: TablePlace): string {
    values.push(instant(place.updatedAtUs));
    if (place.id === undefined) return `${changed} >= $3::${typeOf(table.updatedAt)}`;
    values.push(place.id);
    return `(${changed}, ${id}) > ($3::${typeOf(table.updatedAt)}, $4::${typeOf(table.id)})`;
  }
}

function asText(column: string, type: ColumnType | undefined): string {
  if (type?.isList === true) return `to_json(${column})::text`;
  // Both kinds of timestamp and days: in UTC, as the session is.
  if (type?.type.startsWith('timestamp') === true || type?.type === 'date')
    return `to_char(${column}, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
  return `${column}::text`;
}

function microseconds(expression: string): string {
  return `(extract(epoch from ${expression}) * 1000000)::bigint`;
}

/** An instant for the server, which the driver's own dates would cut to milliseconds. */
function instant(us: number): string {
  const seconds = new Date(Math.floor(us / 1_000_000) * 1_000).toISOString().slice(0, -5);
  const rest = ((us % 1_000_000) + 1_000_000) % 1_000_000;
  return `${seconds}.${String(rest).padStart(6, '0')}Z`;
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function quotedTable({ table }: PolledTable): string {
  return table.split('.').map(quoted).join('.');
}

/** The error in words of ours. */
function withoutSecrets(table: PolledTable, error: unknown): PlatformError {
  if (PlatformError.is(error)) return error;
  const known = translate(error);
  const given = (error as { readonly code?: unknown } | null)?.code;
  const state = typeof given === 'string' && /^[A-Z0-9_]{1,40}$/.test(given) ? given : undefined;
  const facts = state === undefined ? {} : { details: { state } };
  const told = state === undefined ? '' : ` (${state})`;
  if (PlatformError.is(known) && known.retryable) {
    return new PlatformError(
      known.code,
      `The database of ${table.variable} does not answer as it should${told}`,
      facts,
    );
  }
  return new PlatformError(
    'CONFIGURATION',
    `The database of ${table.variable} refuses to let '${table.table}' be read${told}: look at the address, the credentials and the rights`,
    facts,
  );
}
