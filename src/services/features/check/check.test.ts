import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { duckdbWarehouse } from '../../../adapters/duckdb/index.ts';
import type { Warehouse } from '../../../runtime/index.ts';
import { checkSubject, type Counts } from './check.ts';
import { explain } from './explain.ts';
import app from './fixtures/corpus.ts';
import { groupSubject } from './subject.ts';

/** Values that a run compares at least: rules hold on a million, or they are not proven. */
const VALUES_MIN = 1_000_000;
/** Streams that are compared at a time. */
const STREAMS = 80;
const VALUES_PER_GROUP = 16_000;
/** A group whose streams need a statement each, which is some ten times slower. */
const VALUES_PER_GROUP_UNSHARED = 2_000;

describe('the corpus', () => {
  let directory: string;
  let warehouse: Warehouse;
  let total = 0;
  const seed = Number(process.env['PROPERTY_SEED'] ?? 1);
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tandem-corpus-'));
    warehouse = duckdbWarehouse({ directory, threads: 1 });
  });
  afterAll(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  it('has at least thirty groups', () => {
    expect(app.groups.size).toBeGreaterThanOrEqual(30);
  });

  it.each([...app.groups.keys()])(
    '%s is equal online, by SQL and by replay',
    async (name) => {
      const group = app.groups.get(name);
      if (group === undefined) throw new Error(name);
      const subject = groupSubject(app, group);
      const wanted = subject.isShared ? VALUES_PER_GROUP : VALUES_PER_GROUP_UNSHARED;
      const runs = subject.isShared ? STREAMS : 64;
      let values = 0;
      for (let round = 0; values < wanted; round += 1) {
        const result = await checkSubject(subject, { warehouse, runs, seed: seed + round });
        const { failure, counts } = result;
        expect(failure === undefined ? 'equal' : explain(failure.mismatch)).toBe('equal');
        expectEverything(counts, {
          isFiltered: group.where !== undefined,
          isCorrected: group.from.source.corrections === true,
        });
        values += result.values;
      }
      total += values;
    },
    600_000,
  );

  it(`has compared ${VALUES_MIN.toLocaleString('en-US')} values, none of which differs`, () => {
    process.stdout.write(`${total.toLocaleString('en-US')} values compared online, by SQL and by replay\n`);
    expect(total).toBeGreaterThanOrEqual(VALUES_MIN);
  });
});

/** Streams that lack something prove nothing about it. */
function expectEverything(
  counts: Counts,
  { isFiltered, isCorrected }: { readonly isFiltered: boolean; readonly isCorrected: boolean },
): void {
  const { filtered, corrections, deletions, ...others } = counts;
  expect([corrections > 0, deletions > 0]).toEqual([isCorrected, isCorrected]);
  expect(Object.entries(others).filter(([, count]) => count === 0)).toEqual([]);
  expect(filtered > 0).toBe(isFiltered);
}
