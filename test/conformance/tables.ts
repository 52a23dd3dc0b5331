import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Tables } from '../../src/runtime/ports/index.ts';
import { rejectionCode } from './expectations.ts';

export interface TablesOpening {
  readonly tables: Tables;
  close(): Promise<void>;
}

/** What every adapter of the port Tables must do. */
export function tablesConformance(name: string, open: () => Promise<TablesOpening>): void {
  describe(`${name}: Tables`, () => {
    let opening: TablesOpening;
    let other: TablesOpening;
    beforeAll(async () => {
      opening = await open();
      other = await open();
      await opening.tables.query(
        'create table conformance_row (id bigint primary key, value text, data jsonb)',
      );
    });
    afterAll(async () => {
      await Promise.all([opening.close(), other.close()]);
    });

    it('takes parameters and gives bigint as numbers while they are safe', async () => {
      const { tables } = opening;
      const rows = await tables.query(
        `select $1::bigint as large, $2::bigint as small, $3::text as text, null as nothing, $4::bigint[] as many,
           $5::jsonb as data, $6::bytea as bytes`,
        ['9007199254740993', 42, `it's`, [1, 2], { a: [1] }, Buffer.from([0, 255])],
      );
      expect(rows).toEqual([
        {
          large: 9007199254740993n,
          small: 42,
          text: `it's`,
          nothing: null,
          many: [1, 2],
          data: { a: [1] },
          bytes: Buffer.from([0, 255]),
        },
      ]);
      expect(await tables.query('select 1 as a; select 2 as b')).toEqual([{ b: 2 }]);
      expect(await tables.query('update conformance_row set value = 1 where false')).toEqual([]);
    });

    it('commits what resolves and rolls back what rejects', async () => {
      const { tables } = opening;
      const insert = (id: number, fails: boolean): Promise<number> =>
        tables.transaction(async (tx) => {
          await tx.query('insert into conformance_row (id) values ($1)', [id]);
          await tx.transaction((inner) =>
            inner.query('insert into conformance_row (id) values ($1)', [id + 1]),
          );
          if (fails) throw new Error('on purpose');
          return id;
        });
      await expect(insert(10, true)).rejects.toThrow('on purpose');
      expect(await insert(20, false)).toBe(20);
      const rows = await other.tables.query(
        'select id from conformance_row where id between 10 and 30 order by id',
      );
      expect(rows).toEqual([{ id: 20 }, { id: 21 }]);
    });

    it('does the queries of a transaction one after another, even when they are asked for at once', async () => {
      const sums = await opening.tables.transaction((tx) =>
        Promise.all(
          [1, 2, 3].map(async (value) => (await tx.query('select $1::int as value', [value]))[0]?.['value']),
        ),
      );
      expect(sums).toEqual([1, 2, 3]);
    });

    it('says CONFLICT for a key that is there', async () => {
      const { tables } = opening;
      await tables.query('insert into conformance_row (id) values (1)');
      expect(await rejectionCode(tables.query('insert into conformance_row (id) values (1)'))).toBe(
        'CONFLICT',
      );
    });

    it('does not commit when the error of a statement was swallowed', async () => {
      const { tables } = opening;
      const swallowed = tables.transaction(async (tx) => {
        await tx.query('insert into conformance_row (id) values (50)');
        await tx.query('select 1 / 0').catch(() => undefined);
      });
      await expect(swallowed).rejects.toThrow('swallowed');
      expect(await tables.query('select 1 from conformance_row where id = 50')).toEqual([]);
    });

    it('runs a transaction again that lost a deadlock', async () => {
      const { tables } = opening;
      await tables.query(`insert into conformance_row (id, value) values (100, '0'), (101, '0')`);
      const both = async (first: number, second: number): Promise<void> =>
        other.tables.transaction(async (tx) => {
          const sql = `update conformance_row set value = (value::int + 1)::text where id = $1`;
          await tx.query(sql, [first]);
          await tx.query('select pg_sleep(0.05)');
          await tx.query(sql, [second]);
        });
      await Promise.all([both(100, 101), both(101, 100)]);
      const rows = await tables.query('select value from conformance_row where id in (100, 101)');
      expect(rows).toEqual([{ value: '2' }, { value: '2' }]);
    });

    it('ends the use of a transaction with the transaction', async () => {
      let kept: Tables | undefined;
      await opening.tables.transaction(async (tx) => {
        kept = tx;
      });
      await expect(kept?.query('select 1')).rejects.toThrow('has ended');
    });
  });
}
