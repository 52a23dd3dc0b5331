/** Bits of a hash: it is a whole number that a float64 holds. */
export const HASH_BITS = 53;

const LOW = 2 ** 32;
const HIGH_MASK = 2 ** (HASH_BITS - 32) - 1;

/**
 * A text as a number of 53 bits, which stands for it in online state. Two texts of one window have the same with a probability
 * of 2^-53 for each pair.
 */
export function hashText(text: string): number {
  let a = 0x2545f491 ^ text.length;
  let b = 0x1b873593;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    a = Math.imul(a ^ unit, 0x9e3779b1);
    b = Math.imul(b ^ unit ^ (a >>> 15), 0x85ebca6b);
  }
  return join(a, b);
}

const scratch = new Float64Array(1);
const words = new Uint32Array(scratch.buffer);

/** A number as 53 evenly spread bits. */
export function hashNumber(value: number): number {
  // -0 and 0 are one value.
  scratch[0] = value + 0;
  const low = words[0] ?? 0;
  const high = words[1] ?? 0;
  const a = Math.imul(low ^ 0x2545f491, 0x9e3779b1) ^ high;
  return join(Math.imul(a, 0x85ebca6b) ^ (a >>> 13), Math.imul(high ^ (low >>> 16), 0xc2b2ae35) ^ low);
}

function join(a: number, b: number): number {
  const low = mix(a ^ (b >>> 7));
  const high = mix(b ^ low);
  // Once more, so that each half depends on both words in full.
  return (high & HIGH_MASK) * LOW + (mix(low ^ Math.imul(high, 0x27d4eb2f)) >>> 0);
}

function mix(word: number): number {
  let mixed = Math.imul(word ^ (word >>> 16), 0x7feb352d);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x846ca68b);
  return mixed ^ (mixed >>> 16);
}
