import { type HrTime, SpanKind, SpanStatusCode, TraceFlags } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import type { FinishedSpan, SpanExporter } from '../../runtime/index.ts';

/** What the library takes; its types are not all exported. */
type ReadableSpan = Parameters<OTLPTraceExporter['export']>[0][number];

export interface OtlpOptions {
  /** Base address of the collector, e.g. `http://127.0.0.1:4318`; spans go to `/v1/traces` below it. */
  readonly endpoint: string;
  /** What the process is called. */
  readonly serviceName: string;
  readonly version: string;
  /** Unique for each process. */
  readonly instance: string;
}

/** How long one export may take, in milliseconds, with the repetitions of the library. */
const EXPORT_MS = 10_000;

const KINDS: Readonly<Record<FinishedSpan['kind'], SpanKind>> = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
};

/**
 * The port `SpanExporter` by OTLP over HTTP, on OpenTelemetry's own exporter. Headers, compression and certificates are
 * read by it from `OTEL_EXPORTER_OTLP_HEADERS` and its other standard variables.
 */
export function otlpExporter(options: OtlpOptions): SpanExporter {
  const exporter = new OTLPTraceExporter({ url: urlOf(options.endpoint), timeoutMillis: EXPORT_MS });
  const shared = {
    resource: resourceFromAttributes({
      'service.name': options.serviceName,
      'service.version': options.version,
      'service.instance.id': options.instance,
    }),
    instrumentationScope: { name: 'tandem', version: options.version },
    events: [],
    ended: true,
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
  return {
    export: (spans) =>
      new Promise((resolve, reject) => {
        exporter.export(
          spans.map((span) => readable(span, shared)),
          ({ code, error }) => {
            if (code === 0) resolve();
            else reject(error ?? new Error('The collector did not take the spans'));
          },
        );
      }),
    close: () => exporter.shutdown(),
  };
}

function urlOf(endpoint: string): string {
  return new URL(`${endpoint.replace(/\/$/, '')}/v1/traces`).href;
}

type Shared = Pick<
  ReadableSpan,
  | 'resource'
  | 'instrumentationScope'
  | 'events'
  | 'ended'
  | 'droppedAttributesCount'
  | 'droppedEventsCount'
  | 'droppedLinksCount'
>;

function readable(span: FinishedSpan, shared: Shared): ReadableSpan {
  const { traceId, spanId, parentId, startMs, durationMs } = span;
  const context = (id: string, trace = traceId) => ({
    traceId: trace,
    spanId: id,
    traceFlags: TraceFlags.SAMPLED,
  });
  return {
    ...shared,
    name: span.name,
    kind: KINDS[span.kind],
    spanContext: () => context(spanId),
    ...(parentId === null ? {} : { parentSpanContext: context(parentId) }),
    startTime: hrTime(startMs),
    endTime: hrTime(startMs + durationMs),
    duration: hrTime(durationMs),
    status: { code: span.status === 'error' ? SpanStatusCode.ERROR : SpanStatusCode.UNSET },
    attributes: { ...span.attributes, 'tandem.service': span.service },
    links: span.links.map((link) => ({ context: context(link.spanId, link.traceId) })),
  };
}

/** Seconds and nanoseconds. */
function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1_000);
  return [seconds, Math.min(999_999_999, Math.round((ms - seconds * 1_000) * 1e6))];
}
