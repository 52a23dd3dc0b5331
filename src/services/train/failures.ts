import { PlatformError } from '../../contract/index.ts';

/** Whether the same may succeed later. */
export function isPassing(error: unknown): boolean {
  return PlatformError.is(error) && error.retryable;
}

/** What is said of a failure. Other errors than coded ones tell nothing: they may hold data. */
export function failureText(error: unknown): string {
  return PlatformError.is(error)
    ? `${error.code}: ${error.message}`
    : 'INTERNAL: An unexpected error happened; the log of the service has the details';
}
