import type { Span } from './span.ts';

export interface RingLimits {
  readonly spansMax: number;
  readonly bytesMax: number;
}

/** The newest spans of a process. The oldest make room, by number and by bytes. */
export class SpanRing {
  readonly #limits: RingLimits;
  readonly #spans: (Span | undefined)[];
  /** Where the next span goes. */
  #next = 0;
  #count = 0;
  #bytes = 0;

  constructor(limits: RingLimits) {
    this.#limits = limits;
    this.#spans = Array.from({ length: limits.spansMax }, () => undefined);
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  push(span: Span): void {
    const { spansMax, bytesMax } = this.#limits;
    if (spansMax === 0) return;
    if (this.#count === spansMax) this.#drop();
    this.#spans[this.#next] = span;
    this.#next = (this.#next + 1) % spansMax;
    this.#count += 1;
    this.#bytes += span.bytes;
    while (this.#bytes > bytesMax && this.#count > 1) this.#drop();
  }

  /** The spans, those that ended last first. */
  *newest(): Generator<Span> {
    const { spansMax } = this.#limits;
    for (let back = 1; back <= this.#count; back += 1) {
      const span = this.#spans[(this.#next - back + spansMax) % spansMax];
      if (span !== undefined) yield span;
    }
  }

  #drop(): void {
    const { spansMax } = this.#limits;
    const oldest = (this.#next - this.#count + spansMax) % spansMax;
    this.#bytes -= this.#spans[oldest]?.bytes ?? 0;
    this.#spans[oldest] = undefined;
    this.#count -= 1;
  }
}
