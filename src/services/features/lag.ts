/** Looks that are kept; beyond them lag is at least the age of the oldest one. */
const LOOKS_MAX = 600;

interface Look {
  readonly atMs: number;
  /** Ends of the log at that moment, by source and partition. */
  readonly ends: ReadonlyMap<string, readonly number[]>;
}

/**
 * How long online state is behind the log. Each look notes where the log ends; when all of that is applied, nothing older than
 * the look is missing.
 */
export class Lag {
  #looks: Look[] = [];
  #coveredMs: number;
  #seconds = 0;
  #records = 0;

  constructor(nowMs: number) {
    this.#coveredMs = nowMs;
  }

  /** Age of the oldest record that is not applied, in seconds; exact to the time between two looks, never less. */
  get seconds(): number {
    return this.#seconds;
  }

  /** Records that are not applied. */
  get records(): number {
    return this.#records;
  }

  look(
    nowMs: number,
    ends: ReadonlyMap<string, readonly number[]>,
    applied: (source: string) => readonly number[],
  ): void {
    const behind = (at: ReadonlyMap<string, readonly number[]>): number =>
      [...at].reduce((sum, [source, partitions]) => {
        const positions = applied(source);
        return partitions.reduce((all, end, index) => all + Math.max(0, end - (positions[index] ?? 0)), sum);
      }, 0);
    this.#looks.push({ atMs: nowMs, ends });
    let covered = this.#looks.findIndex((look) => behind(look.ends) > 0);
    if (covered === -1) covered = this.#looks.length;
    this.#coveredMs = this.#looks[covered - 1]?.atMs ?? this.#coveredMs;
    this.#looks = this.#looks.slice(covered).slice(0, LOOKS_MAX);
    this.#records = behind(ends);
    this.#seconds = this.#records === 0 ? 0 : (nowMs - this.#coveredMs) / 1_000;
  }
}
