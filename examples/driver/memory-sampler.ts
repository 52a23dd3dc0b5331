import { treeRssBytes } from './process-tree.ts';

const SAMPLE_MS = 1_000;

/** Looks at the memory of this process and everything below it once a second and keeps the largest sum. */
export class MemorySampler implements Disposable {
  #peakBytes: number | null = null;
  #sampling = false;
  readonly #timer: NodeJS.Timeout;

  constructor() {
    this.#timer = setInterval(() => void this.#sample(), SAMPLE_MS);
    this.#timer.unref();
  }

  /** Largest sum so far in MiB, null where it cannot be known. */
  get peakMb(): number | null {
    return this.#peakBytes === null ? null : Math.round(this.#peakBytes / 1_048_576);
  }

  async #sample(): Promise<void> {
    if (this.#sampling) return;
    this.#sampling = true;
    try {
      const bytes = await treeRssBytes(process.pid);
      if (bytes !== null) this.#peakBytes = Math.max(this.#peakBytes ?? 0, bytes);
    } catch {
      // A process list that cannot be read now is read again in a second.
    } finally {
      this.#sampling = false;
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
