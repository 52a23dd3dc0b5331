import type { Source } from '../../../define/index.ts';
import { identifier } from './sql.ts';

/**
 * Of a source with corrections, SQL of the records that at some time were the one of their id that counts (docs/concepts/semantics.md,
 * rule 3): those with a higher revision than all before them in the log. `_until` is where the next of them lies, null when none does;
 * deletions end what was before them and are left out themselves. `isLatest`: only what is still visible behind all `rows`.
 */
export function versionsSql(source: Source, rows: string, isLatest: boolean): string {
  const id = identifier(source.id);
  const records = `partition by _partition, ${id} order by _offset`;
  return `
select *, ${id} as _id, ${identifier(source.time)} as _time from (
  select * exclude (_best), lead(_offset) over (${records}) as _until from (
    select *, max(coalesce(_revision, 0)) over (${records} rows between unbounded preceding and 1 preceding) as _best
    from ${rows}
  ) where _best is null or coalesce(_revision, 0) > _best
) where _deleted is not true${isLatest ? ' and _until is null' : ''}`;
}

/**
 * Conditions under which the row `event` of a source's events table is visible as of K, the SQL of a next offset: it was known, and
 * what takes its place was not.
 */
export function visibleSql(source: Source, event: string, known: string): string[] {
  const isKnown = `${event}._offset < ${known}`;
  if (source.corrections !== true) return [isKnown];
  return [isKnown, `(${event}._until is null or ${event}._until >= ${known})`];
}
