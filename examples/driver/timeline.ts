/** How wide the name of a step is written. */
const NAME_WIDTH = 9;

/** A readable timeline on stderr: each line with the seconds since the start. */
export class Timeline {
  readonly #write: (text: string) => void;
  readonly #began = performance.now();
  readonly #seconds: Record<string, number> = {};

  /** @param write takes lines; default: stderr. */
  constructor(write: (text: string) => void = (text) => void process.stderr.write(text)) {
    this.#write = write;
  }

  /** Seconds since the start. */
  get elapsed(): number {
    return (performance.now() - this.#began) / 1_000;
  }

  /** Seconds by phase, and `total`. */
  get seconds(): Readonly<Record<string, number>> {
    return { ...this.#seconds, total: roundTo(this.elapsed, 3) };
  }

  say(step: string, text: string): void {
    this.#write(`${this.elapsed.toFixed(1).padStart(7)} s  ${step.padEnd(NAME_WIDTH)} ${text}\n`);
  }

  /** Writes text as it is. */
  raw(text: string): void {
    this.#write(text);
  }

  /** Does the work and adds its time to the phase's. */
  async phase<TResult>(name: string, work: () => Promise<TResult>): Promise<TResult> {
    const began = performance.now();
    try {
      return await work();
    } finally {
      this.add(name, (performance.now() - began) / 1_000);
    }
  }

  /** Adds seconds to a phase's. */
  add(name: string, seconds: number): void {
    this.#seconds[name] = roundTo((this.#seconds[name] ?? 0) + seconds, 3);
  }
}

/** 12345 as `12,345`. */
export function grouped(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** A number with so many decimals at most. */
export function roundTo(value: number, decimals: number): number {
  return Number(value.toFixed(decimals));
}
