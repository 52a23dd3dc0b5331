import { writeTraceparent } from './context.ts';
import type { Span } from './span.ts';

/** The headers by which a request carries its trace on. */
export function traceHeaders(span: Span | undefined): Record<string, string> {
  if (span === undefined) return {};
  const traceparent = writeTraceparent(span);
  return span.state === undefined ? { traceparent } : { traceparent, tracestate: span.state };
}
