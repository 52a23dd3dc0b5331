/**
 * A seeded stream of pseudo-random numbers: Chris Doty-Humphrey's sfc32 (PractRand), its state made of any
 * whole numbers. The same parts give the same numbers on every platform. Streams of different parts are
 * independent for practical purposes, so that a simulation can make any day of any customer without making
 * those before it.
 */
export class RandomStream {
  #a = 0;
  #b = 0;
  #c = 0;
  #counter = 1;
  #spareNormal: number | undefined;

  /** @param parts whole numbers that name the stream, for example a seed, a purpose and a day. */
  constructor(...parts: readonly number[]) {
    let hash = mix(parts.length + 0x9e3779b9);
    for (const part of parts) {
      if (!Number.isSafeInteger(part))
        throw new RangeError(`A part of a seed is a whole number; got ${String(part)}`);
      hash = mix(
        Math.imul(hash, 31) ^ mix(part | 0) ^ Math.imul(Math.floor(part / 0x1_0000_0000) | 0, 0x85ebca6b),
      );
    }
    this.#a = mix(hash + 0x3c6ef372);
    this.#b = mix(hash + 0xdaa66d2b);
    this.#c = mix(hash + 0x78dde6e4);
    // The first outputs still resemble the seed.
    for (let round = 0; round < 12; round += 1) this.#bits();
  }

  /** A number in [0, 1) with 53 random bits. */
  uniform(): number {
    const high = this.#bits() >>> 5;
    const low = this.#bits() >>> 6;
    return (high * 0x400_0000 + low) / 0x20_0000_0000_0000;
  }

  /** A number in [low, high). */
  between(low: number, high: number): number {
    return low + (high - low) * this.uniform();
  }

  /** A whole number in [0, bound). */
  integer(bound: number): number {
    return Math.floor(this.uniform() * bound);
  }

  /** A number of the normal distribution (Box and Muller's transform). */
  normal(mean: number, deviation: number): number {
    const spare = this.#spareNormal;
    if (spare !== undefined) {
      this.#spareNormal = undefined;
      return mean + deviation * spare;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.#spareNormal = radius * Math.sin(angle);
    return mean + deviation * radius * Math.cos(angle);
  }

  /**
   * A whole number of the Poisson distribution (Knuth's product of uniforms: the time is linear in the mean).
   */
  poisson(mean: number): number {
    if (!(mean >= 0 && mean <= 100)) throw new RangeError(`The mean is from 0 to 100; got ${String(mean)}`);
    const limit = Math.exp(-mean);
    let count = 0;
    for (let product = this.uniform(); product > limit; product *= this.uniform()) count += 1;
    return count;
  }

  /** `count` of the numbers 0 .. bound - 1, all different, in random order. */
  sample(bound: number, count: number): number[] {
    if (count > bound)
      throw new RangeError(`Cannot draw ${String(count)} different numbers below ${String(bound)}`);
    // A shuffle of 0 .. bound - 1 that is stopped after `count` steps and remembers only what it moved.
    const moved = new Map<number, number>();
    const drawn: number[] = [];
    for (let index = 0; index < count; index += 1) {
      const other = index + this.integer(bound - index);
      drawn.push(moved.get(other) ?? other);
      moved.set(other, moved.get(index) ?? index);
    }
    return drawn;
  }

  #bits(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }
}

/** The finaliser of MurmurHash3: every bit of the input changes about half of the bits of the output. */
function mix(word: number): number {
  let mixed = word | 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
