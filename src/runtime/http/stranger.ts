import { type AnyRoute, PlatformError } from '../../contract/index.ts';
import { BEGUN_HEADER } from './headers.ts';

/** The head of an answer. */
export interface AnswerHead {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** What somebody answers who has no such route, or no such method. */
const ABSENT: ReadonlySet<number> = new Set([404, 405, 421, 501]);

/**
 * Whether an answer to a call is not of the service that was called. Its process may have died and another one, of another
 * service or of nothing of ours, may have got its port: a caller that still has the old list then asks that one. It gives
 * itself away, without a word more in any request: the token of a call names the service, so that others refuse it with
 * 401, and where nobody asks for tokens others have no such route, which they say was not begun or say in words that are
 * not ours. Nothing was begun then, so that any call may be sent again.
 */
export function isStranger({ status, headers }: AnswerHead): boolean {
  if (status === 401) return true;
  if (!ABSENT.has(status)) return false;
  return headers[BEGUN_HEADER] === 'no' || !isProblem(headers['content-type']);
}

function isProblem(mediaType: string | string[] | undefined): boolean {
  return typeof mediaType === 'string' && mediaType.startsWith('application/problem+json');
}

/** The error of a call that a stranger answered. */
export function strangerError({ service }: AnyRoute, status: number): PlatformError {
  const what = status === 401 ? 'does not let this process in' : 'is not the service';
  return new PlatformError(
    'UNAVAILABLE',
    `Whoever answers at an address of the ${service} service ${what} (${String(status)})`,
    { details: { service, status } },
  );
}
