import type { Clock, FinishedSpan, SpanExporter } from '../ports/index.ts';
import type { Logger, Metrics } from '../service.ts';
import { TRACE_LIMITS } from './options.ts';

export interface ExportQueueParts {
  readonly exporter: SpanExporter;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly queueMax: number;
}

/** Spans on their way out: in batches, one at a time. Nobody waits for it, and what does not fit is dropped and counted. */
export class ExportQueue {
  readonly #parts: ExportQueueParts;
  readonly #stopping = new AbortController();
  #waiting: FinishedSpan[] = [];
  #wake = new AbortController();
  #isAway = false;
  readonly #exported;
  readonly #dropped;
  readonly #done: Promise<void>;

  constructor(parts: ExportQueueParts) {
    this.#parts = parts;
    this.#exported = parts.metrics.counter('spans_exported_total', 'Spans that were exported');
    this.#dropped = parts.metrics.counter('spans_dropped_total', 'Spans that were not exported', ['reason']);
    this.#done = this.#run();
  }

  push(span: FinishedSpan): void {
    if (this.#waiting.length >= this.#parts.queueMax) return this.#dropped.add(1, { reason: 'queue full' });
    this.#waiting.push(span);
    if (this.#waiting.length >= TRACE_LIMITS.exportSpansMax) this.#wake.abort();
  }

  /** Sends what waits, for a short time at most, and ends. */
  async close(): Promise<void> {
    const { clock, exporter } = this.#parts;
    this.#stopping.abort();
    this.#wake.abort();
    await Promise.race([
      this.#done.then(() => exporter.close()).catch(() => undefined),
      clock.sleep(TRACE_LIMITS.flushMs),
    ]);
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted || this.#waiting.length > 0) {
      if (!this.#stopping.signal.aborted && this.#waiting.length < TRACE_LIMITS.exportSpansMax) {
        await this.#parts.clock.sleep(TRACE_LIMITS.exportMs, this.#wake.signal);
        if (!this.#stopping.signal.aborted) this.#wake = new AbortController();
      }
      const batch = this.#waiting.splice(0, TRACE_LIMITS.exportSpansMax);
      if (batch.length > 0) await this.#send(batch);
    }
  }

  async #send(batch: readonly FinishedSpan[]): Promise<void> {
    const { exporter, logger } = this.#parts;
    try {
      await exporter.export(batch);
      this.#exported.add(batch.length);
      if (this.#isAway) logger.info('Traces can be exported again');
      this.#isAway = false;
    } catch (error) {
      this.#dropped.add(batch.length, { reason: 'export failed' });
      if (!this.#isAway) logger.warn('Traces cannot be exported: they are dropped', { error });
      this.#isAway = true;
    }
  }
}
