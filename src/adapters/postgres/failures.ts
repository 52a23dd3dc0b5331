import { type ErrorCode, PlatformError } from '../../contract/errors.ts';

interface DriverError extends Error {
  /** SQLSTATE of the server, or the code of a system error. */
  readonly code?: string;
  readonly constraint?: string;
}

/**
 * SQLSTATEs (or their first two characters) with a platform code. What is not here is a mistake in our SQL.
 */
const CODES: Readonly<Record<string, ErrorCode>> = {
  '53100': 'STORAGE_FULL',
  // Connection exceptions, too few resources, operator intervention (shutdown, start-up), system errors.
  '08': 'UNAVAILABLE',
  '53': 'UNAVAILABLE',
  '57': 'UNAVAILABLE',
  '58': 'UNAVAILABLE',
  // A session that the server ended because it waited too long inside a transaction.
  '25P03': 'UNAVAILABLE',
  // Only a standby refuses to write: the primary has moved.
  '25006': 'UNAVAILABLE',
  '57014': 'DEADLINE_EXCEEDED',
  '55P03': 'DEADLINE_EXCEEDED',
  '40001': 'CONFLICT',
  '40P01': 'CONFLICT',
  '23505': 'CONFLICT',
  '23503': 'CONFLICT',
  '28000': 'CONFIGURATION',
  '28P01': 'CONFIGURATION',
  '3D000': 'CONFIGURATION',
};

/** System errors of connecting and of a connection. */
const SYSTEM_CODES: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT',
  'EADDRNOTAVAIL',
]);

/** Parts of what the driver says, without a code, when a connection is lost or cannot be had in time. */
const CONNECTION_TEXTS = [
  'connection terminated',
  'connection error',
  'connection ended',
  'not queryable',
  'timeout exceeded when trying to connect',
  'timeout expired',
  'query read timeout',
  'after calling end',
];

/**
 * Turns an error of the driver into a {@link PlatformError}; an error that is no operating error stays as it
 * is.
 */
export function translate(error: unknown): unknown {
  if (PlatformError.is(error) || !(error instanceof Error)) return error;
  const { code, constraint, message } = error as DriverError;
  const known = codeOf(error);
  if (known === undefined) return error;
  return new PlatformError(known, `The database answered: ${message}`, {
    cause: error,
    details: {
      ...(code === undefined ? {} : { state: code }),
      ...(constraint === undefined ? {} : { constraint }),
    },
  });
}

function codeOf(error: DriverError): ErrorCode | undefined {
  const { code } = error;
  if (code === undefined) {
    const text = error.message.toLowerCase();
    return CONNECTION_TEXTS.some((part) => text.includes(part)) ? 'UNAVAILABLE' : undefined;
  }
  if (SYSTEM_CODES.has(code)) return 'UNAVAILABLE';
  return /^[0-9A-Z]{5}$/.test(code) ? (CODES[code] ?? CODES[code.slice(0, 2)]) : undefined;
}

/** Whether the server undid the transaction for reasons of timing, so that doing it again can succeed. */
export function isTransient(error: unknown): boolean {
  const state = stateOf(error);
  return state === '40001' || state === '40P01';
}

/** Whether the server no longer takes writes, so that its connections are of no use. */
export function isDeposed(error: unknown): boolean {
  return stateOf(error) === '25006';
}

/** The SQLSTATE of an error or of what caused it. */
export function stateOf(error: unknown): string | undefined {
  const inner = PlatformError.is(error) ? error.cause : error;
  return inner instanceof Error ? (inner as DriverError).code : undefined;
}

/**
 * Whether the connection that gave the error can go on being used: only the server's own refusals leave it
 * so.
 */
export function isRefusal(error: unknown): boolean {
  const state = stateOf(error) ?? '';
  return /^[0-9A-Z]{5}$/.test(state) && !/^(08|57P|25P03|25006)/.test(state);
}

/** Runs `work` and rejects with {@link translate}d errors. */
export async function translated<TResult>(work: () => Promise<TResult>): Promise<TResult> {
  try {
    return await work();
  } catch (error) {
    throw translate(error);
  }
}
