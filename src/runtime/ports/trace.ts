/** What an attribute of a span may be. */
export type SpanValue = string | number | boolean;
export type SpanAttributes = Readonly<Record<string, SpanValue>>;

/** A piece of work that is being measured. */
export interface OpenSpan {
  /** Adds an attribute; names follow OpenTelemetry's conventions where there are any. */
  set(name: string, value: SpanValue): void;
}

export interface DoneOptions {
  readonly attributes?: SpanAttributes;
  /** Contexts of other traces that the work belongs to, as `traceparent` headers: those of the records of a batch. */
  readonly links?: readonly string[];
}

/** The request or the piece of work that something belongs to. To be handed back, not to be looked into. */
export interface TraceScope {
  readonly requestId?: string | undefined;
}

/**
 * Says what the time of a request went to. Spans made while a request is answered are parts of its trace, over every process
 * that it reaches; other work gets a trace of its own.
 */
export interface Trace {
  /** Measures `work`; what is called and measured within is a part of it. A rejection marks the span as failed. */
  span<TResult>(
    name: string,
    work: (span: OpenSpan) => Promise<TResult>,
    attributes?: SpanAttributes,
  ): Promise<TResult>;
  /**
   * Notes a piece of work that has ended and began at `startMs` by {@link Clock.monotonic}. Outside of a request it is noted
   * only if it has links.
   */
  done(name: string, startMs: number, options?: DoneOptions): void;
  /** Id of the trace that is being made, 32 hexadecimal digits; `undefined` outside of one. */
  readonly traceId: string | undefined;
  /** What {@link Trace.within} takes, for work that is done later for a request. */
  readonly scope: TraceScope | undefined;
  /** Runs `work` as a part of what `scope` belongs to. */
  within<TResult>(scope: TraceScope | undefined, work: () => TResult): TResult;
}

/** How a span stands to what it connects, in the words of OpenTelemetry. */
export type SpanKind = 'internal' | 'server' | 'client' | 'producer' | 'consumer';

/** The place of another span. */
export interface SpanLink {
  readonly traceId: string;
  readonly spanId: string;
}

/** A piece of work that has ended. */
export interface FinishedSpan {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits. */
  readonly spanId: string;
  /** `null` for the first span of a trace. */
  readonly parentId: string | null;
  readonly name: string;
  readonly kind: SpanKind;
  readonly service: string;
  /** In milliseconds since 1970, with a fraction. */
  readonly startMs: number;
  readonly durationMs: number;
  readonly status: 'unset' | 'error';
  /** What is wrong, when something is: an error's code, never its message, which may hold data. */
  readonly error: string | null;
  readonly attributes: SpanAttributes;
  readonly links: readonly SpanLink[];
}

/** Sends spans to whoever collects them. */
export interface SpanExporter {
  /** Rejects when they did not arrive; they are not sent again then. */
  export(spans: readonly FinishedSpan[]): Promise<void>;
  close(): Promise<void>;
}
