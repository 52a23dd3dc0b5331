import { z } from 'zod';

/** What is kept and exported of traces; `TANDEM_TRACE_<OPTION>` sets it. */
export interface TraceOptions {
  /** Spans that a process keeps, the newest. 0 turns tracing off. Default 4,096. */
  readonly spansMax: number;
  /** Memory for them, in bytes, by estimate. Default 8 MiB. */
  readonly bytesMax: number;
  /** Share of the traces that are exported, 0 to 1. Default 0.01. Set by `OTEL_TRACES_SAMPLER_ARG`. */
  readonly ratio: number;
  /** A request that takes longer is exported whatever the share, as is one that fails; in milliseconds. Default 1,000. */
  readonly slowMs: number;
  /** Spans that wait for their export; one more is dropped and counted. Default 8,192. */
  readonly queueMax: number;
  /** Where spans are sent by OTLP over HTTP. Default: nowhere. Set by `OTEL_EXPORTER_OTLP_ENDPOINT`. */
  readonly endpoint?: string | undefined;
  /** What exported spans call the process. Default: `tandem-SERVICE`, or `tandem`. Set by `OTEL_SERVICE_NAME`. */
  readonly serviceName?: string | undefined;
}

/** Schema of {@link TraceOptions}. */
export const traceOptions: z.ZodType<TraceOptions> = z
  .object({
    spansMax: z
      .number()
      .int()
      .min(0)
      .max(1_000_000)
      .default(4_096)
      .describe('Spans that a process keeps; 0 turns tracing off'),
    bytesMax: z
      .number()
      .int()
      .min(65_536)
      .max(2 ** 32)
      .default(8 * 2 ** 20)
      .describe('Memory for the spans that are kept, in bytes'),
    ratio: z.number().min(0).max(1).default(0.01).describe('Share of the traces that are exported'),
    slowMs: z
      .number()
      .min(0)
      .max(600_000)
      .default(1_000)
      .describe('A request that takes longer is exported whatever the share, in milliseconds'),
    queueMax: z
      .number()
      .int()
      .min(1)
      .max(1_000_000)
      .default(8_192)
      .describe('Spans that wait for their export; one more is dropped'),
    endpoint: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe('Where spans are sent by OTLP over HTTP'),
    serviceName: z.string().optional().describe('What exported spans call the process'),
  })
  .strict();

/** Limits that nobody needs to set. */
export const TRACE_LIMITS = {
  /** Attributes of one span; further ones are not kept. */
  attributesMax: 24,
  /** Characters of an attribute's value; the rest is cut off. */
  valueCharactersMax: 256,
  /** Links of one span. */
  linksMax: 32,
  /** Failed or slow requests that are exported for that reason alone, in a second. */
  exceptionsPerSecondMax: 50,
  /** Spans of one export. */
  exportSpansMax: 512,
  /** How long spans wait for more before they are exported, in milliseconds. */
  exportMs: 2_000,
  /** How long the last export may take when the process stops, in milliseconds. */
  flushMs: 2_000,
} as const;
