import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { PlatformError } from '../../contract/errors.ts';
import type { TableRow, Tables } from '../../runtime/ports/index.ts';
import { isDeposed, isTransient, translate } from './failures.ts';

/** How often a transaction is tried that the server undoes for a deadlock or a serialisation failure. */
const ATTEMPTS_MAX = 5;
/** Longest random pause before the second attempt, in milliseconds; it doubles with each one. */
const RETRY_MS = 10;

/**
 * The port `Tables` on a pool of connections. `transaction` runs `work` again, up to 5 times in all, when the
 * server had to undo it (deadlock, serialisation failure), and then rejects with CONFLICT: `work` must have
 * no effects of its own outside the transaction.
 */
export function postgresTables(pool: pg.Pool): Tables {
  return {
    query: (sql, parameters) => run(pool, sql, parameters),
    async transaction(work) {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await once(pool, work);
        } catch (error) {
          if (!isTransient(error) || attempt === ATTEMPTS_MAX) throw translate(error);
          await sleep(Math.random() * RETRY_MS * 2 ** attempt);
        }
      }
    },
  };
}

async function once<TResult>(pool: pg.Pool, work: (tx: Tables) => Promise<TResult>): Promise<TResult> {
  const client = await connect(pool);
  const tx = new Transaction(client);
  let broken: Error | boolean | undefined;
  try {
    await client.query('begin');
    const result = await work(tx);
    await tx.end();
    const { command } = await client.query('commit');
    // The server turns the commit of a transaction with a failed statement into a rollback, without an error.
    if (command !== 'COMMIT')
      throw new Error('A statement of the transaction failed and its error was swallowed');
    return result;
  } catch (error) {
    await tx.end();
    broken = await client.query('rollback').then(
      () => isDeposed(error),
      (cause: unknown) => (cause instanceof Error ? cause : new Error(String(cause))),
    );
    throw error;
  } finally {
    client.release(broken);
  }
}

class Transaction implements Tables {
  readonly #client: pg.PoolClient;
  #last: Promise<unknown> = Promise.resolve();
  #ended = false;

  constructor(client: pg.PoolClient) {
    this.#client = client;
  }

  query<TRow extends TableRow = TableRow>(sql: string, parameters?: readonly unknown[]): Promise<TRow[]> {
    if (this.#ended)
      return Promise.reject(new Error('The transaction has ended: await every query inside it'));
    // One connection does one statement at a time; callers may still ask for several at once.
    const next = this.#last.then(() => run<TRow>(this.#client, sql, parameters));
    this.#last = next.catch(() => undefined);
    return next;
  }

  transaction<TResult>(work: (tx: Tables) => Promise<TResult>): Promise<TResult> {
    return work(this);
  }

  async end(): Promise<void> {
    this.#ended = true;
    await this.#last;
  }
}

async function run<TRow extends TableRow>(
  target: pg.Pool | pg.PoolClient,
  sql: string,
  parameters: readonly unknown[] = [],
): Promise<TRow[]> {
  try {
    const result: pg.QueryResult<TRow> | pg.QueryResult<TRow>[] = await target.query<TRow>(sql, [
      ...parameters,
    ]);
    // Several statements in one text give several results; the last one is the answer.
    return Array.isArray(result) ? ((result as pg.QueryResult<TRow>[]).at(-1)?.rows ?? []) : result.rows;
  } catch (error) {
    throw translate(error);
  }
}

async function connect(pool: pg.Pool): Promise<pg.PoolClient> {
  try {
    return await pool.connect();
  } catch (error) {
    const known = translate(error);
    throw PlatformError.is(known)
      ? known
      : new PlatformError('UNAVAILABLE', 'No connection to the database could be made', { cause: error });
  }
}
