import { PlatformError } from '../../contract/index.ts';

/** Reads `after`, the last number of the page before; without one, the page starts at the newest. */
export function numberBefore(after: string | undefined): number {
  if (after === undefined) return Number.MAX_SAFE_INTEGER;
  const number = /^[1-9]\d{0,15}$/.test(after) ? Number(after) : Number.NaN;
  if (Number.isSafeInteger(number)) return number;
  throw new PlatformError(
    'BAD_REQUEST',
    `'after' is the 'next' of the page before; got '${after.slice(0, 60)}'`,
    {
      details: { field: 'after' },
    },
  );
}

/** Cuts off the one row that was read too many, which says that there is a next page. */
export function cutPage<TRow>(
  rows: readonly TRow[],
  limit: number,
  numberOf: (row: TRow) => number,
): { readonly rows: readonly TRow[]; readonly next: string | null } {
  const kept = rows.slice(0, limit);
  const last = kept.at(-1);
  return { rows: kept, next: rows.length > limit && last !== undefined ? String(numberOf(last)) : null };
}

/** Whether the store can hold the text as it is: no NUL character and no half of a surrogate pair. */
export function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}

/** Throws BAD_REQUEST unless {@link isStorable}. */
export function assertStorable(field: string, text: string | undefined): void {
  if (text === undefined || isStorable(text)) return;
  throw new PlatformError('BAD_REQUEST', `'${field}' must be Unicode text without NUL characters`, {
    details: { field },
  });
}
