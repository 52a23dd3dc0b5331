import type { AnyRoute } from '../../contract/index.ts';
import type { FinishedSpan, OpenSpan, SpanKind, SpanLink, SpanValue } from '../ports/index.ts';
import type { TraceContext } from './context.ts';
import { TRACE_LIMITS } from './options.ts';

/** Memory of a span without its attributes and links, in bytes, as measured on Node 24. */
const SPAN_BYTES = 320;
/** Memory of an attribute besides its characters, and of a link, in bytes. */
const PART_BYTES = 64;

export interface SpanParts {
  readonly context: TraceContext;
  readonly parentId: string | undefined;
  readonly name: string;
  readonly kind: SpanKind;
  readonly service: string;
  /** By the monotonic clock. */
  readonly startMs: number;
}

/**
 * A span as it is made: few fields, written once. What can be told from the route is not written into attributes until somebody
 * reads the span.
 */
export class Span implements OpenSpan, TraceContext {
  readonly traceId: string;
  readonly spanId: string;
  readonly sampled: boolean;
  readonly parentId: string | undefined;
  readonly kind: SpanKind;
  readonly service: string;
  readonly name: string;
  startMs: number;
  /** -1 until it has ended. */
  durationMs = -1;
  /** Whether it is the first of its trace in this process. */
  isRoot = false;
  isFailed = false;
  isExported = false;
  error: string | undefined = undefined;
  /** The caller's `tracestate`, which is passed on. */
  state: string | undefined = undefined;
  route: AnyRoute | undefined = undefined;
  httpStatus = 0;
  attributes: Record<string, SpanValue> | undefined = undefined;
  links: readonly SpanLink[] | undefined = undefined;

  constructor(parts: SpanParts) {
    const { context } = parts;
    this.traceId = context.traceId;
    this.spanId = context.spanId;
    this.sampled = context.sampled;
    this.parentId = parts.parentId;
    this.kind = parts.kind;
    this.service = parts.service;
    this.name = parts.name;
    this.startMs = parts.startMs;
  }

  set(name: string, value: SpanValue): void {
    if (this.durationMs >= 0) return;
    this.attributes ??= {};
    this.attributes[name] = value;
  }

  /** Marks it as failed. `code` says why, in a word. */
  fail(code: string): void {
    this.isFailed = true;
    this.error = code;
  }

  /** Memory that it takes, in bytes, by estimate. */
  get bytes(): number {
    let bytes = SPAN_BYTES + (this.links?.length ?? 0) * PART_BYTES;
    for (const name in this.attributes) {
      const value = this.attributes[name];
      bytes += PART_BYTES + (typeof value === 'string' ? value.length : 0);
    }
    return bytes;
  }

  /** Cuts off what is beyond the limits, before it is kept. */
  clip(): void {
    const { attributes } = this;
    if (attributes === undefined) return;
    let count = 0;
    for (const name in attributes) {
      count += 1;
      const value = attributes[name];
      if (count > TRACE_LIMITS.attributesMax) delete attributes[name];
      else if (typeof value === 'string' && value.length > TRACE_LIMITS.valueCharactersMax) {
        attributes[name] = value.slice(0, TRACE_LIMITS.valueCharactersMax);
      }
    }
  }

  /** The span as it is shown and exported. `epochMs`: what to add to the monotonic clock. */
  finished(epochMs: number): FinishedSpan {
    const { route, httpStatus, error } = this;
    return {
      traceId: this.traceId,
      spanId: this.spanId,
      parentId: this.parentId ?? null,
      name: this.name,
      kind: this.kind,
      service: this.service,
      startMs: this.startMs + epochMs,
      durationMs: Math.max(0, this.durationMs),
      status: this.isFailed ? 'error' : 'unset',
      error: error ?? null,
      attributes: {
        ...(route === undefined ? {} : routeAttributes(route, this.kind)),
        ...(httpStatus === 0 ? {} : { 'http.response.status_code': httpStatus }),
        ...(error === undefined ? {} : { 'error.type': error }),
        ...this.attributes,
      },
      links: this.links ?? [],
    };
  }
}

function routeAttributes(route: AnyRoute, kind: SpanKind): Record<string, SpanValue> {
  const { method, path } = route;
  if (kind === 'server') return { 'http.request.method': method, 'http.route': path };
  if (kind === 'client') return { 'http.request.method': method, 'url.template': path };
  return { 'http.route': path };
}
