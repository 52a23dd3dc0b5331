import { z } from 'zod';
import { PlatformError } from '../../contract/index.ts';
import { partReader } from '../http/validate.ts';
import type { FinishedSpan } from '../ports/index.ts';
import type { Tracer } from './tracer.ts';

/** Routes by which every process shows the spans that it keeps. */
export const TRACE_ROUTES = [
  {
    path: '/v1/traces',
    name: 'listTraces',
    summary: 'The newest traces of this process',
    mediaType: 'application/json',
    roles: ['reader', 'operator'],
  },
  {
    path: '/v1/traces/{traceId}',
    name: 'getTrace',
    summary: 'The spans of a trace that this process keeps',
    mediaType: 'application/json',
    roles: ['reader', 'operator'],
  },
] as const;

/** One request or piece of work, by what this process knows of it. */
export interface TraceSummary {
  readonly traceId: string;
  readonly name: string;
  readonly service: string;
  /** In milliseconds since 1970, with a fraction. */
  readonly startMs: number;
  readonly durationMs: number;
  readonly status: FinishedSpan['status'];
  readonly error: string | null;
}

/** What `GET /v1/traces` answers, newest first. */
export interface TraceList {
  readonly traces: readonly TraceSummary[];
}

/** What `GET /v1/traces/{traceId}` answers, in the order in which they began. */
export interface TraceSpans {
  readonly traceId: string;
  readonly spans: readonly FinishedSpan[];
}

const LISTED_MAX = 1_000;
const query = z
  .object({
    limit: z.coerce.number().int().min(1).max(LISTED_MAX).default(50),
    /** Only what took at least so long, in milliseconds. */
    minDurationMs: z.coerce.number().min(0).default(0),
    /** Only what failed. */
    error: z.enum(['true', 'false']).default('false'),
    /** Only requests of a route, e.g. `/v1/decisions/{decision}`, or spans of this name. */
    route: z.string().max(512).optional(),
    service: z.string().max(63).optional(),
  })
  .strict();

const readQuery = partReader('query', query, true);

/** Answers `GET /v1/traces`. Throws BAD_REQUEST. */
export function listTraces(tracer: Tracer | undefined, given: unknown): TraceList {
  const { limit, minDurationMs, error, route, service } = readQuery(given) as z.infer<typeof query>;
  const traces: TraceSummary[] = [];
  for (const span of tracer?.roots() ?? []) {
    if (span.durationMs < minDurationMs || (error === 'true' && span.status !== 'error')) continue;
    if (route !== undefined && span.attributes['http.route'] !== route && span.name !== route) continue;
    if (service !== undefined && span.service !== service) continue;
    const { traceId, name, startMs, durationMs, status } = span;
    traces.push({ traceId, name, service: span.service, startMs, durationMs, status, error: span.error });
    if (traces.length >= limit) break;
  }
  return { traces };
}

/** Answers `GET /v1/traces/{traceId}`; without spans when this process keeps none of it. Throws BAD_REQUEST. */
export function getTrace(tracer: Tracer | undefined, traceId: string): TraceSpans {
  if (!/^[0-9a-f]{32}$/.test(traceId)) {
    throw new PlatformError('BAD_REQUEST', 'params.traceId: expected 32 hexadecimal digits in lower case');
  }
  const spans = [...(tracer?.spans({ traceId }) ?? [])];
  return { traceId, spans: spans.sort((left, right) => left.startMs - right.startMs) };
}
