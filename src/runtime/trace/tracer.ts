import { type AnyRoute, PlatformError } from '../../contract/index.ts';
import { currentScope, type Scope, withScope } from '../call.ts';
import type {
  Clock,
  DoneOptions,
  FinishedSpan,
  OpenSpan,
  Random,
  SpanAttributes,
  SpanKind,
  SpanLink,
  Trace,
} from '../ports/index.ts';
import { readTraceparent, readTracestate, type TraceContext } from './context.ts';
import type { ExportQueue } from './export-queue.ts';
import { TRACE_LIMITS, type TraceOptions } from './options.ts';
import { SpanRing } from './ring.ts';
import { Span } from './span.ts';

/** How long the wall clock is trusted to run beside the monotonic one, in milliseconds. */
const EPOCH_MS = 10_000;
const HEX: readonly string[] = Array.from({ length: 65_536 }, (_, value) =>
  value.toString(16).padStart(4, '0'),
);

export interface TracerParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly options: TraceOptions;
  /** Where spans go that are exported; `undefined`: nowhere. */
  readonly queue?: ExportQueue | undefined;
}

/** What spans are asked for. */
export interface SpanFilter {
  /** Only of this trace, or linked to it. */
  readonly traceId?: string | undefined;
}

/** Makes and keeps the spans of a process. */
export class Tracer {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #options: TraceOptions;
  readonly #queue: ExportQueue | undefined;
  readonly #ring: SpanRing;
  #epochMs = 0;
  #epochUntilMs = -Infinity;
  /** Exceptions that may still be exported in this second. */
  #exceptions = 0;
  #exceptionsUntilMs = -Infinity;

  constructor({ clock, random, options, queue }: TracerParts) {
    this.#clock = clock;
    this.#random = random;
    this.#options = options;
    this.#queue = queue;
    this.#ring = new SpanRing(options);
  }

  /** Begins the span of a request that came over HTTP, in the trace that its headers name or in a new one. */
  server(route: AnyRoute, headers: Readonly<Record<string, string | string[] | undefined>>): Span {
    const parent = readTraceparent(headers['traceparent']);
    const span = this.#begin(parent, nameOf(route), 'server', route.service);
    span.isRoot = true;
    span.route = route;
    if (parent !== undefined && headers['tracestate'] !== undefined) {
      span.state = readTracestate(headers['tracestate']);
    }
    return span;
  }

  /** Begins the span of a call to a service; `undefined` outside of a trace. */
  call(route: AnyRoute, kind: 'client' | 'internal'): Span | undefined {
    const parent = currentScope()?.span;
    if (parent === undefined) return undefined;
    const span = this.#begin(parent, nameOf(route), kind, kind === 'client' ? parent.service : route.service);
    span.route = route;
    span.state = parent.state;
    return span;
  }

  /** Begins a span as a part of what is being done, or of a new trace. */
  begin(name: string, kind: SpanKind, service: string): Span {
    const parent = currentScope()?.span;
    const span = this.#begin(parent, name, kind, service);
    if (parent === undefined) span.isRoot = true;
    else span.state = parent.state;
    return span;
  }

  /** Notes a piece of work that has ended. */
  done(name: string, service: string, startMs: number, options: DoneOptions): void {
    const parent = currentScope()?.span;
    const links = (options.links ?? [])
      .slice(0, TRACE_LIMITS.linksMax)
      .flatMap((link) => readTraceparent(link) ?? []);
    if (parent === undefined && links.length === 0) return;
    // What belongs to traces that are exported is exported itself.
    const isSampled = parent === undefined && links.some(({ sampled }) => sampled);
    const span = this.#begin(parent, name, links.length > 0 ? 'consumer' : 'internal', service, isSampled);
    span.isRoot = parent === undefined;
    span.startMs = startMs;
    if (options.attributes !== undefined) span.attributes = { ...options.attributes };
    if (links.length > 0) span.links = links.map(({ traceId, spanId }): SpanLink => ({ traceId, spanId }));
    this.end(span);
  }

  /** Ends a span and keeps it. */
  end(span: Span, error?: unknown): void {
    if (span.durationMs >= 0) return;
    if (error !== undefined) span.fail(PlatformError.is(error) ? error.code : 'INTERNAL');
    span.clip();
    span.durationMs = Math.max(0, this.#clock.monotonic() - span.startMs);
    this.#ring.push(span);
    if (this.#queue === undefined) return;
    if (span.sampled) this.#export(span);
    else if (span.isRoot && this.#isException(span)) this.#exportAll(span);
  }

  /** The spans that are kept, the newest first. */
  *spans({ traceId }: SpanFilter = {}): Generator<FinishedSpan> {
    const epochMs = this.#epoch();
    for (const span of this.#ring.newest()) {
      if (traceId !== undefined && span.traceId !== traceId && !isLinked(span, traceId)) continue;
      yield span.finished(epochMs);
    }
  }

  /** Of each request and piece of work its first span here, the newest first. */
  *roots(): Generator<FinishedSpan> {
    const epochMs = this.#epoch();
    for (const span of this.#ring.newest()) if (span.isRoot) yield span.finished(epochMs);
  }

  /** The port that a service is given. */
  of(service: string): Trace {
    return new ServiceTrace(this, service);
  }

  async close(): Promise<void> {
    await this.#queue?.close();
  }

  #begin(
    parent: TraceContext | undefined,
    name: string,
    kind: SpanKind,
    service: string,
    isSampled?: boolean,
  ): Span {
    const context = {
      traceId: parent?.traceId ?? this.#hex() + this.#hex(),
      spanId: this.#hex(),
      sampled: isSampled === true || (parent?.sampled ?? this.#random.float() < this.#options.ratio),
    };
    const startMs = this.#clock.monotonic();
    return new Span({ context, parentId: parent?.spanId, name, kind, service, startMs });
  }

  /** 16 hexadecimal digits, not all zero. */
  #hex(): string {
    const random = this.#random;
    const word = (least: number): string => HEX[least + Math.floor(random.float() * (65_536 - least))] ?? '';
    return word(1) + word(0) + word(0) + word(0);
  }

  #epoch(): number {
    const nowMs = this.#clock.monotonic();
    if (nowMs > this.#epochUntilMs) {
      this.#epochMs = this.#clock.now() - nowMs;
      this.#epochUntilMs = nowMs + EPOCH_MS;
    }
    return this.#epochMs;
  }

  #isException(span: Span): boolean {
    if (!span.isFailed && span.durationMs < this.#options.slowMs) return false;
    const nowMs = this.#clock.monotonic();
    if (nowMs > this.#exceptionsUntilMs) {
      this.#exceptions = TRACE_LIMITS.exceptionsPerSecondMax;
      this.#exceptionsUntilMs = nowMs + 1_000;
    }
    this.#exceptions -= 1;
    return this.#exceptions >= 0;
  }

  /** Exports what is kept of a trace: nobody knew at its beginning that it would be worth it. */
  #exportAll(root: Span): void {
    for (const span of this.#ring.newest()) {
      if (span.startMs + span.durationMs < root.startMs) return;
      if (span.traceId === root.traceId) this.#export(span);
    }
  }

  #export(span: Span): void {
    if (span.isExported) return;
    span.isExported = true;
    this.#queue?.push(span.finished(this.#epoch()));
  }
}

function nameOf(route: AnyRoute): string {
  return `${route.method} ${route.path}`;
}

function isLinked(span: Span, traceId: string): boolean {
  return span.links !== undefined && span.links.some((link) => link.traceId === traceId);
}

class ServiceTrace implements Trace {
  readonly #tracer: Tracer;
  readonly #service: string;

  constructor(tracer: Tracer, service: string) {
    this.#tracer = tracer;
    this.#service = service;
  }

  async span<TResult>(
    name: string,
    work: (span: OpenSpan) => Promise<TResult>,
    attributes?: SpanAttributes,
  ): Promise<TResult> {
    const tracer = this.#tracer;
    const span = tracer.begin(name, 'internal', this.#service);
    if (attributes !== undefined) span.attributes = { ...attributes };
    try {
      const result = await withScope({ requestId: currentScope()?.requestId, span }, () => work(span));
      tracer.end(span);
      return result;
    } catch (error) {
      tracer.end(span, error ?? 'unknown');
      throw error;
    }
  }

  done(name: string, startMs: number, options: DoneOptions = {}): void {
    this.#tracer.done(name, this.#service, startMs, options);
  }

  get traceId(): string | undefined {
    return currentScope()?.span?.traceId;
  }

  get scope(): Scope | undefined {
    return currentScope();
  }

  within<TResult>(scope: Scope | undefined, work: () => TResult): TResult {
    return scope === undefined ? work() : withScope(scope, work);
  }
}

/** A trace of which nothing is kept, for whoever has no host. */
export const NO_TRACE: Trace = {
  span: (_name, work) => work({ set: () => undefined }),
  done: () => undefined,
  traceId: undefined,
  scope: undefined,
  within: (_scope, work) => work(),
};
