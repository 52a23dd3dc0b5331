/**
 * A small seeded generator of pseudo-random numbers: xoshiro128** (Blackman and Vigna, "Scrambled linear
 * pseudorandom number generators", 2021) seeded by a 32-bit mixer. The same seed gives the same numbers on
 * every platform. It is for sampling and simulation, never for secrets.
 */
export class SeededRandom {
  readonly #next: () => number;
  #spareNormal: number | undefined;

  /**
   * @param seed any safe integer.
   *
   * @throws RangeError when it is not one.
   */
  constructor(seed: number) {
    if (!Number.isSafeInteger(seed)) throw new RangeError(`The seed must be a safe integer, not ${seed}`);
    this.#next = xoshiro128(stateOf(seed));
  }

  /** 32 random bits as a number in [0, 2^32). */
  bits(): number {
    return this.#next();
  }

  /** A number in [0, 1) with 53 random bits. */
  uniform(): number {
    const high = this.#next() >>> 5;
    const low = this.#next() >>> 6;
    return (high * 0x4000000 + low) / 0x20000000000000;
  }

  /**
   * A whole number in [0, bound), every one equally likely.
   *
   * @throws RangeError unless 1 <= bound <= 2^32.
   */
  integer(bound: number): number {
    if (!Number.isSafeInteger(bound) || bound < 1 || bound > 0x100000000) {
      throw new RangeError(`The bound must be a whole number from 1 to 2^32, not ${bound}`);
    }
    // Draws above the largest multiple of the bound would favour small results, so they are drawn again.
    const fair = 0x100000000 - (0x100000000 % bound);
    for (;;) {
      const drawn = this.#next();
      if (drawn < fair) return drawn % bound;
    }
  }

  /**
   * A number of the normal distribution with mean 0 and standard deviation 1 (Box and Muller's transform).
   */
  normal(): number {
    const spare = this.#spareNormal;
    if (spare !== undefined) {
      this.#spareNormal = undefined;
      return spare;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.#spareNormal = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /** Puts the items in random order, in place (Fisher and Yates), and returns them. */
  shuffle<TItems extends unknown[] | Int32Array | Float32Array | Float64Array>(items: TItems): TItems {
    for (let last = items.length - 1; last > 0; last -= 1) {
      const other = this.integer(last + 1);
      const kept = items[last];
      items[last] = items[other];
      items[other] = kept;
    }
    return items;
  }

  /**
   * Draws `count` of the numbers 0 .. bound - 1 without repetition, in ascending order (selection sampling,
   * Knuth's algorithm S): ascending, because rows visited in order are read from the cache.
   *
   * @throws RangeError unless 0 <= count <= bound.
   */
  sample(bound: number, count: number): Int32Array {
    if (!Number.isSafeInteger(count) || count < 0 || count > bound) {
      throw new RangeError(`Cannot draw ${count} different numbers below ${bound}`);
    }
    const drawn = new Int32Array(count);
    let taken = 0;
    for (let candidate = 0; taken < count; candidate += 1) {
      if ((bound - candidate) * this.uniform() < count - taken) {
        drawn[taken] = candidate;
        taken += 1;
      }
    }
    return drawn;
  }
}

/** @internal The bare xoshiro128** generator over a state of four words, not all zero. */
export function xoshiro128(state: readonly [number, number, number, number]): () => number {
  let [a, b, c, d] = state;
  return () => {
    const scrambled = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotateLeft(d, 11);
    return scrambled;
  };
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

/** Four well-mixed words of a seed: a Weyl sequence through the finaliser of MurmurHash3, never all zero. */
function stateOf(seed: number): [number, number, number, number] {
  const low = seed | 0;
  const high = Math.floor(seed / 0x100000000) | 0;
  const word = (index: number): number =>
    mix(mix(low + Math.imul(index, 0x9e3779b9)) ^ mix(high ^ 0x85ebca6b));
  const state: [number, number, number, number] = [word(1), word(2), word(3), word(4)];
  if (state.every((part) => part === 0)) state[0] = 1;
  return state;
}

function mix(word: number): number {
  let mixed = word | 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
