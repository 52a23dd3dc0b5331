/** The place of a span in its trace, as it travels between processes (W3C Trace Context). */
export interface TraceContext {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits: the span that called. */
  readonly spanId: string;
  /** Whether the caller exports the trace. */
  readonly sampled: boolean;
}

const PARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const NO_TRACE = '0'.repeat(32);
const NO_SPAN = '0'.repeat(16);
/** Characters of a `traceparent` that is read at all; version 00 has 55. */
const PARENT_CHARACTERS_MAX = 128;

/**
 * Reads a `traceparent` header. `undefined` when it is none: then a new trace begins. Versions to come are read as far as
 * this one goes.
 */
export function readTraceparent(header: unknown): TraceContext | undefined {
  if (typeof header !== 'string' || header.length > PARENT_CHARACTERS_MAX) return undefined;
  const match = PARENT.exec(header);
  if (match === null) return undefined;
  const [, version, traceId = NO_TRACE, spanId = NO_SPAN, flags = '00', rest] = match;
  if (version === 'ff' || (version === '00' && rest !== undefined)) return undefined;
  if (traceId === NO_TRACE || spanId === NO_SPAN) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** Writes a `traceparent` header. */
export function writeTraceparent({ traceId, spanId, sampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`;
}

/** Entries and characters of a `tracestate` that is passed on. */
const STATE_ENTRIES_MAX = 32;
const STATE_CHARACTERS_MAX = 512;
const STATE_ENTRY =
  /^([a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

/** The `tracestate` header as it is passed on; `undefined` when there is none or it is wrong, which leaves the trace whole. */
export function readTracestate(header: unknown): string | undefined {
  if (typeof header !== 'string' || header.length > STATE_CHARACTERS_MAX) return undefined;
  const entries = header
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
  if (entries.length === 0 || entries.length > STATE_ENTRIES_MAX) return undefined;
  const keys = new Set(entries.map((entry) => entry.slice(0, entry.indexOf('='))));
  if (keys.size !== entries.length || !entries.every((entry) => STATE_ENTRY.test(entry))) return undefined;
  return entries.join(',');
}
