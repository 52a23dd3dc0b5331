import { fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { getPriority, setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PlatformError } from '../../contract/errors.ts';
import type { ColumnSpec, Warehouse } from '../../runtime/ports/index.ts';
import { duckdbWarehouse } from './index.ts';

const NICENESS = 7;
const COLUMNS: readonly ColumnSpec[] = [
  { name: 'i', type: 'int64' },
  { name: 'f', type: 'float64' },
  { name: 'b', type: 'boolean' },
  { name: 's', type: 'string' },
];

let directory: string;
let warehouse: Warehouse;
/** The processes that were made, in their order. */
let pids: number[];

beforeAll(async () => {
  pids = [];
  directory = await mkdtemp(join(tmpdir(), 'warehouse-background-'));
  warehouse = duckdbWarehouse({
    directory,
    memoryBytesMax: 256 * 1_048_576,
    sessionsMax: 2,
    waitingMax: 0,
    lower: async (pid) => {
      pids.push(pid);
      setPriority(pid, NICENESS);
    },
  });
});
afterAll(async () => {
  for (const pid of pids) kill(pid);
  await rm(directory, { recursive: true, force: true });
});

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function failure(work: Promise<unknown>): Promise<PlatformError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!PlatformError.is(error)) throw new Error(`Expected a PlatformError, got ${String(error)}`);
  return error;
}

describe('a background session', () => {
  it('gives back what was put in, from a process that gives way', async () => {
    await using session = await warehouse.session({ isBackground: true });
    const appender = await session.append('t', COLUMNS);
    const rows = 5_000;
    for (let row = 0; row < rows; row += 1) {
      appender.row(
        row % 7 === 0 ? [null, null, null, null] : [BigInt(row), row / 2, row % 2 === 0, `r${String(row)}`],
      );
    }
    await appender.close();
    const { columns, names, rows: read } = await session.query('select * from t');
    expect([read, names]).toEqual([rows, ['i', 'f', 'b', 's']]);
    expect(columns.get('i')?.slice(6, 9)).toEqual(Float64Array.of(6, Number.NaN, 8));
    expect(columns.get('f')?.[4_999]).toBe(2_499.5);
    expect(columns.get('b')?.slice(6, 9)).toEqual([true, null, true]);
    expect(columns.get('s')?.slice(6, 9)).toEqual(['r6', null, 'r8']);
    const path = join(session.scratch, 't.parquet');
    await session.run(`copy t to '${path}' (format parquet)`);
    expect(existsSync(path)).toBe(true);
    expect(pids).toHaveLength(1);
    expect(getPriority(pids[0] ?? 0)).toBe(NICENESS);
    expect(getPriority()).toBe(0);
  });

  it('is the same process again, and leaves nothing behind', async () => {
    const session = await warehouse.session({ isBackground: true });
    const { scratch } = session;
    expect(existsSync(scratch)).toBe(true);
    await session[Symbol.asyncDispose]();
    await session[Symbol.asyncDispose]();
    expect(existsSync(scratch)).toBe(false);
    expect(pids).toHaveLength(1);
    expect(await failure(session.run('select 1'))).toMatchObject({ code: 'INTERNAL' });
  });

  it('fails as any other does, with the statement for the log', async () => {
    await using session = await warehouse.session({ isBackground: true });
    const error = await failure(session.run('select no_such_column'));
    expect(error.code).toBe('INTERNAL');
    expect(error.message).not.toContain('no_such_column');
    expect((error.cause as Error).message).toContain('no_such_column');
    // And goes on.
    expect((await session.query('select 1 as one')).rows).toBe(1);
  });

  it('tells of a row that its table does not take when the appender is closed', async () => {
    await using session = await warehouse.session({ isBackground: true });
    const appender = await session.append('t', COLUMNS);
    expect(() => appender.row([1])).toThrow(TypeError);
    appender.row([1.5, 1, true, 'x']);
    await expect(appender.close()).rejects.toThrow('Column i takes a safe integer');
    expect(() => appender.row([1, 1, true, 'x'])).toThrow(TypeError);
  });

  it('reads a result piece by piece, as far as it is wanted, and takes files in', async () => {
    await using session = await warehouse.session({ isBackground: true });
    const lines = ['i', ...Array.from({ length: 10_000 }, (_, row) => String(row))].join('\n');
    const path = await session.receive(
      (async function* bytes() {
        yield Buffer.from(lines);
      })(),
    );
    const sql = `select i::bigint as i from read_csv('${path}') order by i`;
    const numbers: number[] = [];
    for await (const { columns } of session.stream(sql)) numbers.push(...(columns.get('i') as Float64Array));
    expect(numbers).toEqual(Array.from({ length: 10_000 }, (_, row) => row));
    for await (const { rows } of session.stream(sql)) {
      expect(rows).toBeGreaterThan(0);
      break;
    }
    const failing = `select case when i < 9000 then i else error('far in') end as i from read_csv('${path}')`;
    const readAll = async (): Promise<void> => {
      for await (const { rows } of session.stream(failing)) expect(rows).toBeGreaterThan(0);
    };
    await expect(readAll()).rejects.toMatchObject({ code: 'INTERNAL' });
    // And goes on.
    expect((await session.query('select 1 as one')).rows).toBe(1);
  });

  it('counts among all sessions: those beyond the maximum wait, and not too many of them', async () => {
    await using one = await warehouse.session({ isBackground: true });
    await using two = await warehouse.session();
    expect(one.scratch).not.toBe(two.scratch);
    expect(await failure(warehouse.session({ isBackground: true }))).toMatchObject({ code: 'OVERLOADED' });
  });

  it('fails with UNAVAILABLE when its process dies, and the next one has a new process', async () => {
    const session = await warehouse.session({ isBackground: true });
    const query = failure(session.query('select count(*) from range(100000000000) t'));
    process.kill(pids.at(-1) ?? 0, 'SIGKILL');
    expect(await query).toMatchObject({ code: 'UNAVAILABLE' });
    await session[Symbol.asyncDispose]();
    await using next = await warehouse.session({ isBackground: true });
    expect((await next.query('select 1 as one')).rows).toBe(1);
    expect(pids).toHaveLength(2);
  });

  it('ends with the process that has it, in the midst of a statement', async () => {
    const holder = fork(fileURLToPath(new URL('./fixtures/holder.ts', import.meta.url)), [directory], {
      execArgv: [],
    });
    const pid = await new Promise<number>((resolve) =>
      holder.once('message', (said) => resolve(Number(said))),
    );
    pids.push(pid);
    expect(isAlive(pid)).toBe(true);
    holder.kill('SIGKILL');
    await expect.poll(() => isAlive(pid), { timeout: 30_000 }).toBe(false);
  });
});
