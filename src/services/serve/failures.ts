import { PlatformError } from '../../contract/index.ts';

/** The caller's time is over, or the caller went away: nobody waits for the answer any more. */
export function expired(): PlatformError {
  return new PlatformError('DEADLINE_EXCEEDED', 'The deadline passed before the decision was made');
}

/** Text of an error for logs and reasons. */
export function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
