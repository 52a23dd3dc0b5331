import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { duckdbWarehouse } from '../../../adapters/duckdb/index.ts';
import type { Warehouse } from '../../../runtime/index.ts';
import { altering } from './altering.ts';
import { comparePlans } from './compare.ts';
import { explain } from './explain.ts';
import app from './fixtures/corpus.ts';
import { play } from './play.ts';
import { streamArbitrary } from './stream.ts';
import { groupSubject, type Subject } from './subject.ts';

const STREAMS = 16;
/** Where definitions tell streams apart, each has statements of its own. */
const STREAMS_UNSHARED = 6;

/** A wrong rule, planted in the statements of one way to compute a group. */
interface Mutant {
  readonly group: string;
  readonly method: string;
  readonly sql: (sql: string) => string;
}

const MUTANTS: Readonly<Record<string, Mutant>> = {
  'tiles: the tile of asOf counts whole': {
    group: 'tiled_count',
    method: 'tiles',
    sql: (sql) => sql.replaceAll('l._tile < s._end', 'l._tile <= s._end'),
  },
  'tiles: the first tile is left out': {
    group: 'tiled_count',
    method: 'tiles',
    sql: (sql) => sql.replaceAll('f._tile >= s._first', 'f._tile > s._first'),
  },
  'tiles: what comes after the last tile is left out': {
    group: 'tiled_sum',
    method: 'tiles',
    sql: (sql) => sql.replaceAll(/s\._end = \(+e\._at/g, (text) => text.replace('_end', '_end + 1')),
  },
  'tiles: what comes before the first tile is left out': {
    group: 'exact_left',
    method: 'tiles',
    sql: (sql) => sql.replaceAll('s._first - 1 =', 's._first - 2 ='),
  },
  'tiles: a block counts from both of its ends': {
    group: 'tiled_sum',
    method: 'tiles',
    sql: (sql) => sql.replaceAll('where not (l._is_whole and l._block = f._block)', ''),
  },
  'tiles: only the newer block counts': {
    group: 'tiled_min',
    method: 'tiles',
    sql: (sql) => sql.replaceAll('where not (l._is_whole and l._block = f._block)', 'where not l._is_whole'),
  },
  'tiles: of ties in a tile the first is the latest': {
    group: 'tiled_last',
    method: 'tiles',
    sql: (sql) => sql.replaceAll('+ _place::hugeint', '- _place::hugeint'),
  },
  'tiles: the latest of the older part wins': {
    group: 'tiled_last',
    method: 'tiles',
    sql: (sql) => sql.replaceAll(/arg_max\((p_\d+), (o_\d+)\) as/g, 'arg_min($1, $2) as'),
  },
  'tiles: the record of the candidate itself counts': {
    group: 'exact_left',
    method: 'tiles',
    sql: (sql) => sql.replaceAll(/q\.place is not null and q\.stored_at[^)]*? < q\.as_of/g, 'false'),
  },
  'near: only the stretch of asOf is looked at': {
    group: 'exact_left',
    method: 'near',
    sql: (sql) =>
      sql.replaceAll(/unnest\(range\(.*? as _stretch/g, (text) => {
        const [, last = ''] = /, (\(+as_of\).*) \+ 1\)\)/.exec(text) ?? [];
        return `${last} as _stretch`;
      }),
  },
  'near: an event at exactly asOf counts': {
    group: 'exact_left',
    method: 'near',
    sql: (sql) => sql.replaceAll('e._at < a.as_of', 'e._at <= a.as_of'),
  },
  'newest: an event at exactly asOf counts': {
    group: 'tiled_last',
    method: 'newest',
    sql: (sql) => sql.replaceAll('e._at < a.as_of', 'e._at <= a.as_of'),
  },
  'newest: of a tie the first is taken': {
    group: 'tiled_last',
    method: 'newest',
    sql: (sql) => sql.replaceAll(/arg_max\((input_\d+), _place\)/g, 'arg_min($1, _place)'),
  },
  'newest: a null is a value': {
    group: 'tiled_last',
    method: 'newest',
    sql: (sql) => sql.replaceAll(/where input_\d+ is not null group by/g, 'group by'),
  },
};

describe('ways to compute a group offline', () => {
  let directory: string;
  let warehouse: Warehouse;
  let total = 0;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tandem-plans-'));
    warehouse = duckdbWarehouse({ directory, threads: 1 });
  });
  afterAll(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  async function mismatchesOf(
    subject: Subject,
    over: Warehouse,
    seed: number,
  ): ReturnType<typeof comparePlans> {
    const numRuns = subject.isShared ? STREAMS : STREAMS_UNSHARED;
    const played = fc
      .sample(streamArbitrary(subject), { seed, numRuns })
      .map((stream) => play(subject, stream));
    const results = { values: 0, mismatches: [] as Awaited<ReturnType<typeof comparePlans>>['mismatches'] };
    for (const some of subject.isShared ? [played] : played.map((item) => [item])) {
      const { values, mismatches } = await comparePlans(subject, over, some);
      results.values += values;
      results.mismatches = [...results.mismatches, ...mismatches];
    }
    return results;
  }

  it.each([...app.groups.keys()])(
    '%s: each gives what replay gives',
    async (name) => {
      const group = app.groups.get(name);
      if (group === undefined) throw new Error(name);
      const { values, mismatches } = await mismatchesOf(groupSubject(app, group), warehouse, 11);
      const found = mismatches.map(({ method, mismatch }) => ({ method, case: explain(mismatch) }));
      expect(found.slice(0, 1)).toEqual([]);
      expect(values).toBeGreaterThan(0);
      total += values;
    },
    600_000,
  );

  it('has compared many values', () => {
    process.stdout.write(`${total.toLocaleString('en-US')} values compared between plans and replay\n`);
    expect(total).toBeGreaterThan(100_000);
  });

  it.each(Object.entries(MUTANTS))(
    '%s: is found out',
    async (_, { group: name, method, sql }) => {
      const group = app.groups.get(name);
      if (group === undefined) throw new Error(name);
      let altered = 0;
      const planted = altering(warehouse, (text) => {
        const other = sql(text);
        if (other !== text) altered += 1;
        return other;
      });
      const subject = groupSubject(app, group);
      let found: readonly string[] = [];
      for (let seed = 7; seed < 12 && !found.includes(method); seed += 1)
        found = (await mismatchesOf(subject, planted, seed)).mismatches.map((item) => item.method);
      expect(altered).toBeGreaterThan(0);
      expect(found).toContain(method);
    },
    600_000,
  );
});
