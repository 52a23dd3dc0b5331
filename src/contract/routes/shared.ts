import { z } from 'zod';
import type { Caste } from '../role.ts';
import type { Method, Route, ServiceName } from '../route.ts';

/** Largest body of a route that says nothing else: 1 MiB, in bytes. */
export const BODY_BYTES_MAX: number = 1_048_576;
/** How long a call may take unless its route says otherwise, in milliseconds. */
export const TIMEOUT_MS = 10_000;

const nothing = z.object({}).strict();
type Nothing = z.infer<typeof nothing>;

/** Everybody who has a role. */
export const ANYBODY = [
  'reader',
  'producer',
  'scientist',
  'reviewer',
  'operator',
] as const satisfies readonly Caste[];
/** Those who look at what there is; no route that they alone may call shows records of a single person. */
export const READERS = ['reader', 'scientist', 'operator'] as const satisfies readonly Caste[];

interface RouteOptions<TParams, TQuery, TBody, TResult> {
  readonly summary: string;
  /** Who may call it, besides admins; docs/reference/access.md says why. */
  readonly roles: readonly Caste[];
  readonly params?: z.ZodType<TParams>;
  readonly query?: z.ZodType<TQuery>;
  readonly body?: z.ZodType<TBody>;
  readonly result: z.ZodType<TResult>;
  readonly idempotent?: boolean;
  readonly timeoutMs?: number;
  readonly bodyBytesMax?: number;
}

export function route<TResult, TParams = Nothing, TQuery = Nothing, TBody = Nothing>(
  service: ServiceName,
  name: string,
  line: `${Method} /${string}`,
  options: RouteOptions<TParams, TQuery, TBody, TResult>,
): Route<TParams, TQuery, TBody, TResult> {
  const [method, path] = line.split(' ', 2) as [Method, string];
  return {
    service,
    name,
    method,
    path,
    summary: options.summary,
    roles: options.roles,
    params: options.params ?? (nothing as unknown as z.ZodType<TParams>),
    query: options.query ?? (nothing as unknown as z.ZodType<TQuery>),
    body: options.body ?? (nothing as unknown as z.ZodType<TBody>),
    result: options.result,
    idempotent: options.idempotent ?? method === 'GET',
    timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
    bodyBytesMax: options.bodyBytesMax ?? BODY_BYTES_MAX,
  };
}

export const name = z.string().min(1).max(63);
export const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);
export const time = z.number().int();
/** Next offsets by source and partition: everything below them is meant. */
export const positions = z.record(z.string(), z.array(z.number().int().nonnegative()));
/**
 * What one row of features was read at. `positions` holds for all of its groups, unless they were read from several owners of
 * state: then `groups` names a set for each group of the vector, 0 for `positions` and n for `others[n - 1]`.
 */
export const rowPositions = z.object({
  positions,
  others: z.array(positions).optional(),
  groups: z.array(z.number().int().nonnegative()).optional(),
});
export const record = z.record(z.string(), z.unknown());
export const page = z
  .object({
    after: z.string().max(128).optional(),
    limit: z.coerce.number().int().min(1).max(1_000).default(100),
  })
  .strict();

/** Positions of the log by source: next offset of each partition. */
export type Positions = z.infer<typeof positions>;
export type RowPositions = z.infer<typeof rowPositions>;
