import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { duckdbWarehouse } from '../../../adapters/duckdb/index.ts';
import { floatSumSql } from './float-sum.ts';

describe('sums of doubles in SQL', () => {
  it('are the same in any order and on any number of threads, where those of DuckDB are not', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'tandem-sum-'));
    try {
      await using session = await duckdbWarehouse({ directory }).session();
      await session.run(`create table one as
        select (hash(i) % 2000)::bigint as k, (hash(i + 7) % 1000000007)::double / 997 - 300000 as v
        from range(600000) t(i)`);
      await session.run('create table two as select * from one order by hash(v)');
      const sums = async (table: string, threads: number): Promise<string[]> => {
        await session.run(`set threads = ${String(threads)}`);
        const sql = `select k, ${floatSumSql('v', (name, of) => `${name}(${of}) filter (where v > -290000)`)} as s,
          fsum(v) filter (where v > -290000) as f from ${table} group by k order by k`;
        const { columns } = await session.query(sql);
        return ['s', 'f'].map((name) => [...(columns.get(name) ?? [])].join(' '));
      };
      const runs = [await sums('one', 1), await sums('one', 2), await sums('two', 1), await sums('two', 2)];
      expect(new Set(runs.map(([exact]) => exact)).size).toBe(1);
      expect(new Set(runs.map(([, own]) => own)).size).toBeGreaterThan(1);
      const [exact = '', own = ''] = runs[0] ?? [];
      const ours = exact.split(' ').map(Number);
      const theirs = own.split(' ').map(Number);
      expect(ours).toHaveLength(2_000);
      for (const [index, value] of ours.entries())
        expect(Math.abs(value - (theirs[index] ?? 0))).toBeLessThan(1e-9 * Math.max(1, Math.abs(value)));
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  it.each([
    [[0.1, 0.2, 0.3], 0.6],
    [[1e16, 1, -1e16], 1],
    [[1e23, 1e-9, -1e23], 1e-9],
    [[-0.5, -1 / 1024, -1 / 3], -0.5 - 1 / 1024 - 1 / 3],
    [[5e-324, 1], 1],
    [[1e300, 1e300], 2e300],
    [[1e-300, 2e-300], 3e-300],
    [[0, 0], 0],
    [[null, 2.5], 2.5],
    [[null], null],
  ])('of %j is %j', async (values, expected) => {
    const directory = await mkdtemp(join(tmpdir(), 'tandem-sum-'));
    try {
      await using session = await duckdbWarehouse({ directory }).session();
      const rows = values.map((value) => `(${value === null ? 'null' : `${String(value)}::double`})`);
      const { columns } = await session.query(
        `select ${floatSumSql('v', (name, of) => `${name}(${of})`)} as s from (values ${rows.join(', ')}) t(v)`,
      );
      const sum = Number(columns.get('s')?.[0]);
      if (expected === null) expect(sum).toBeNaN();
      else expect(Math.abs(sum - expected)).toBeLessThanOrEqual(1e-15 * Math.abs(expected));
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});
