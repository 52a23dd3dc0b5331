import { PlatformError } from '../../contract/errors.ts';

/**
 * How much of a statement stands in the log beside its error, in characters: enough to know it, too little to
 * flood it.
 */
const STATEMENT_CHARACTERS_MAX = 200;

/** No room for a result, a spilled sort or a file; the second is DuckDB's own bound on its spill files. */
const STORAGE_FULL = /no space left on device|disk quota exceeded|max_temp_directory_size/i;

/** What a statement keeps in memory at least is more than its session may have. */
const MEMORY_SHORT = /out of memory error/i;

/**
 * The PlatformError of what DuckDB or the file system said: STORAGE_FULL when the disk is full, or the spill files have reached
 * their bound, else INTERNAL. Messages of DuckDB can quote data, so message and statement go into `cause`, which is logged and
 * never sent.
 */
export function translate(error: unknown, statement: string): PlatformError {
  if (PlatformError.is(error)) return error;
  const text = error instanceof Error ? error.message : String(error);
  const shown =
    statement.length > STATEMENT_CHARACTERS_MAX
      ? `${statement.slice(0, STATEMENT_CHARACTERS_MAX)}...`
      : statement;
  const cause = new Error(`${text} in: ${shown}`, { cause: error });
  if (STORAGE_FULL.test(`${text} ${codeOf(error)}`)) {
    return new PlatformError(
      'STORAGE_FULL',
      'The disk of the warehouse is full, or a session has spilled as much as it may',
      { cause },
    );
  }
  const message = MEMORY_SHORT.test(text)
    ? 'A statement of the warehouse needs more memory than its session may have: raise warehouseMemoryBytesMax'
    : 'A statement of the warehouse failed; the log has the details';
  return new PlatformError('INTERNAL', message, { cause });
}

function codeOf(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  if (code === 'ENOSPC') return 'no space left on device';
  return code === 'EDQUOT' ? 'disk quota exceeded' : '';
}
