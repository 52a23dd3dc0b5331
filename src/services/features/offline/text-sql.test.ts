import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { duckdbWarehouse } from '../../../adapters/duckdb/index.ts';
import { category, code, compileExpression, Expression } from '../../../define/index.ts';
import type { Warehouse } from '../../../runtime/index.ts';
import { expressionSql } from './sql.ts';

const text = new Expression<'string'>({ op: 'field', name: 'text', type: 'string' });

/** Any text that a record can have: a NUL and half a surrogate pair are refused. */
const storable = fc
  .string({ unit: 'binary', maxLength: 40 })
  .filter((value) => value.isWellFormed() && !value.includes('\0'));

describe('texts as numbers', () => {
  let directory: string;
  let warehouse: Warehouse;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tandem-texts-'));
    warehouse = duckdbWarehouse({ directory, threads: 1 });
  });
  afterAll(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  /** The value of an expression over each text, by SQL over a table of them. */
  async function bySql(
    expression: Expression<'number'>,
    texts: readonly (string | null)[],
  ): Promise<number[]> {
    await using session = await warehouse.session();
    const rows = await session.append('texts', [
      { name: 'place', type: 'int64' },
      { name: 'text', type: 'string' },
    ]);
    for (const [place, value] of texts.entries()) rows.row([place, value]);
    await rows.close();
    const sql = expressionSql(expression.node, (field) => field);
    const { columns } = await session.query(`select ${sql} as value from texts order by place`);
    return Array.from(columns.get('value') ?? [], Number);
  }

  it('a code is the same by JavaScript and by SQL, for any text', async () => {
    const evaluate = compileExpression(code(text).node);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.option(storable), { minLength: 1, maxLength: 300 }), async (texts) => {
        const values = texts.map((value) => evaluate({ text: value }) ?? Number.NaN);
        expect(await bySql(code(text), texts)).toEqual(values);
      }),
      { numRuns: 30 },
    );
  });

  it('a category is the same by JavaScript and by SQL, for any text and categories', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(storable, { minLength: 1, maxLength: 255, size: 'max' }),
        fc.array(fc.option(storable), { maxLength: 20 }),
        async (categories, others) => {
          const expression = category(text, categories);
          const evaluate = compileExpression(expression.node);
          const texts = [...categories, ...others, null];
          const values = texts.map((value) => evaluate({ text: value }) ?? Number.NaN);
          expect(values.slice(0, categories.length)).toEqual([...categories.keys()]);
          expect(await bySql(expression, texts)).toEqual(values);
        },
      ),
      { numRuns: 30 },
    );
  });
});
