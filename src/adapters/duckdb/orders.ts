import { type ErrorCode, PlatformError } from '../../contract/errors.ts';
import type { ColumnSpec, RowAppender } from '../../runtime/ports/index.ts';

/** Values of a row, in the order of the columns of its table. */
export type Row = Parameters<RowAppender['row']>[0];

/** What the process of background sessions is told. All but `rows` are answered; the numbers are the teller's. */
export type Order = { readonly id: number; readonly session: number } & (
  | { readonly kind: 'open' }
  | { readonly kind: 'run'; readonly sql: string }
  | { readonly kind: 'query'; readonly sql: string }
  | { readonly kind: 'stream'; readonly stream: number; readonly sql: string }
  /** The next piece of a stream; answered with `undefined` at its end. */
  | { readonly kind: 'next'; readonly stream: number }
  | { readonly kind: 'leave'; readonly stream: number }
  | {
      readonly kind: 'append';
      readonly appender: number;
      readonly table: string;
      readonly columns: readonly ColumnSpec[];
    }
  | { readonly kind: 'rows'; readonly appender: number; readonly rows: readonly Row[] }
  | { readonly kind: 'close'; readonly appender: number }
  | { readonly kind: 'end' }
);

/** What it answers. */
export type Report =
  | { readonly id: number; readonly output: unknown }
  | { readonly id: number; readonly failure: Failure };

/** An error on its way between processes: cloning would lose its class and code. */
export interface Failure {
  readonly message: string;
  readonly stack: string | undefined;
  /** Of a PlatformError. */
  readonly code: ErrorCode | undefined;
  readonly cause: Failure | undefined;
}

/** Longest chain of causes that is passed on. */
const CAUSES_MAX = 8;

export function toFailure(error: unknown, depth = 0): Failure {
  const code = PlatformError.is(error) ? error.code : undefined;
  if (!(error instanceof Error)) return { message: String(error), stack: undefined, code, cause: undefined };
  const { message, stack, cause } = error;
  const isLast = cause === undefined || depth === CAUSES_MAX;
  return { message, stack, code, cause: isLast ? undefined : toFailure(cause, depth + 1) };
}

export function fromFailure({ code, message, stack, cause }: Failure): Error {
  const options = cause === undefined ? {} : { cause: fromFailure(cause) };
  if (code !== undefined) return new PlatformError(code, message, options);
  const error = new Error(message, options);
  if (stack !== undefined) error.stack = stack;
  return error;
}
