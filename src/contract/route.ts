import type { z } from 'zod';
import type { Caste } from './role.ts';

/** The services of the platform. */
export const SERVICE_NAMES = ['ingest', 'features', 'train', 'registry', 'serve', 'gateway'] as const;
export type ServiceName = (typeof SERVICE_NAMES)[number];

export type Method = 'GET' | 'POST';

/**
 * One operation of a service, as its callers see it. A call goes through {@link Route} whichever way it travels: as a
 * function call in one process, as HTTP between processes.
 */
export interface Route<TParams = unknown, TQuery = unknown, TBody = unknown, TResult = unknown> {
  readonly service: ServiceName;
  /** Unique over all services, verb and noun: `readVector`. */
  readonly name: string;
  readonly method: Method;
  /** Path with `{parameters}`. */
  readonly path: string;
  readonly summary: string;
  /** Who may call it, besides admins. */
  readonly roles: readonly Caste[];
  readonly params: z.ZodType<TParams>;
  readonly query: z.ZodType<TQuery>;
  readonly body: z.ZodType<TBody>;
  readonly result: z.ZodType<TResult>;
  /** Whether a client may send it again when it does not know whether it was carried out. */
  readonly idempotent: boolean;
  /** How long a caller waits unless it says otherwise, in milliseconds. */
  readonly timeoutMs: number;
  /** Largest body in bytes. */
  readonly bodyBytesMax: number;
}

/** Any route: routes of different shapes stand in one list, and each handler knows its own. */
// oxlint-disable-next-line typescript/no-explicit-any
export type AnyRoute = Route<any, any, any, any>;

/** What a caller gives. */
export interface RouteInput<TParams, TQuery, TBody> {
  readonly params: TParams;
  readonly query: TQuery;
  readonly body: TBody;
}

export type InputOf<TRoute> =
  TRoute extends Route<infer TParams, infer TQuery, infer TBody, infer _>
    ? RouteInput<TParams, TQuery, TBody>
    : never;
export type ResultOf<TRoute> =
  TRoute extends Route<infer _P, infer _Q, infer _B, infer TResult> ? TResult : never;
