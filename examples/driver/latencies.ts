/** Latencies in milliseconds; 8 bytes each. */
export class Latencies {
  #values: Float64Array = new Float64Array(1_024);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(ms: number): void {
    if (this.#count === this.#values.length) {
      const larger = new Float64Array(this.#values.length * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#count] = ms;
    this.#count += 1;
  }

  /**
   * The smallest latency that at least this share of all does not exceed (nearest rank); null without any.
   */
  quantile(share: number): number | null {
    if (this.#count === 0) return null;
    const sorted = this.#values.slice(0, this.#count).sort();
    return sorted[Math.max(0, Math.ceil(share * this.#count) - 1)] ?? null;
  }
}
