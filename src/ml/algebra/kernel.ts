import { KERNEL_BASE64 } from './kernel-bytes.ts';

/** Rows on either side of a tile: the kernel forms 4 x 4 products at once. */
export const LANES = 4;
/** Tiles of one stripe: 48 groups of four rows of depth 96 are 144 KiB, which stay in the cache. */
export const STRIPE_TILES = 48;
/** Columns of the products of a stripe. The assembled kernel has this number in it. */
export const STRIPE_COLUMNS: number = STRIPE_TILES * LANES;

/** What a stripe is made of. Positions count values from the start of the kernel's memory. */
export interface Stripe {
  /** Position of one group of four packed rows. */
  readonly left: number;
  /** Position of the first of `tiles` groups of four packed rows, one after the other. */
  readonly right: number;
  /** Values of a row. */
  readonly depth: number;
  readonly tiles: number;
}

/**
 * @internal A block of memory and the one fast loop over it: the products of a group of four rows with some
 * groups of four rows. A group is packed depth after depth (`value[k * 4 + lane]`), so that the loop reads
 * both sides strictly forward.
 */
export interface Kernel {
  readonly memory: Float64Array;
  /** Four rows of {@link STRIPE_COLUMNS} products, overwritten by every stripe. */
  readonly products: Float64Array;
  readonly multiplyStripe: (stripe: Stripe) => void;
}

type AssembledStripe = (left: number, right: number, products: number, depth: number, tiles: number) => void;

/** The part of WebAssembly's interface that is used: neither ECMAScript's types nor Node's declare it. */
interface Assembly {
  readonly Memory: new (size: { readonly initial: number }) => { readonly buffer: ArrayBuffer };
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: object,
  ) => { readonly exports: { readonly multiplyStripe: AssembledStripe } };
  readonly validate: (bytes: Uint8Array) => boolean;
}

const VALUE_BYTES = 8;
const PAGE_BYTES = 65_536;
/** WebAssembly addresses 32 bits; the panels of the largest matrix take a hundredth of that. */
const PAGES_MAX = 32_768;
const PRODUCTS = LANES * STRIPE_COLUMNS;
/** Below this many values the work is done before a module is compiled (0.1 ms). */
const ASSEMBLED_LENGTH_MIN = 32_768;

/**
 * @internal A kernel with room for `length` values: assembled with vectors of two where that pays and the
 * platform can, otherwise in JavaScript. Both give the same bits. Measured at depth 96 on one core of an AMD EPYC (Zen 4): assembled
 * 13-16 GFLOP/s, JavaScript 3-5.
 */
export function kernelOf(length: number): Kernel {
  const assembled = length < ASSEMBLED_LENGTH_MIN ? undefined : assembledKernel(length);
  return assembled ?? plainKernel(length);
}

/** @internal The assembled kernel, or undefined where there is no WebAssembly with vectors. */
export function assembledKernel(length: number): Kernel | undefined {
  const { WebAssembly: assembly } = globalThis as { readonly WebAssembly?: Assembly };
  const bytes = Uint8Array.from(atob(KERNEL_BASE64), (character) => character.charCodeAt(0));
  const pages = Math.ceil(((length + PRODUCTS) * VALUE_BYTES) / PAGE_BYTES);
  if (assembly === undefined || pages > PAGES_MAX || !assembly.validate(bytes)) return undefined;
  const block = new assembly.Memory({ initial: pages });
  const instance = new assembly.Instance(new assembly.Module(bytes), { env: { memory: block } });
  const { multiplyStripe } = instance.exports;
  const productsAt = length * VALUE_BYTES;
  return {
    memory: new Float64Array(block.buffer, 0, length),
    products: new Float64Array(block.buffer, productsAt, PRODUCTS),
    multiplyStripe: ({ left, right, depth, tiles }) => {
      multiplyStripe(left * VALUE_BYTES, right * VALUE_BYTES, productsAt, depth, tiles);
    },
  };
}

/** @internal The kernel in JavaScript. */
export function plainKernel(length: number): Kernel {
  const memory = new Float64Array(length);
  const products = new Float64Array(PRODUCTS);
  return {
    memory,
    products,
    multiplyStripe: ({ left, right, depth, tiles }) => {
      for (let tile = 0; tile < tiles; tile += 1)
        multiplyTile(memory, products, { left, right: right + tile * LANES * depth, depth, tile });
    },
  };
}

/**
 * Nearly all time is spent in this loop.
 *
 * Measured on one core of an AMD EPYC (Zen 4), GFLOP/s over several runs at depth 120: tiles of 2 x 2
 * 2.5-3.8, 4 x 2 4.4-4.7, 3 x 3 4.4-5.2, 4 x 3 4.4-5.1, 4 x 4 4.5-5.1, 6 x 2 4.4-4.8. Unrolling the depth by
 * two changes nothing, by four costs a tenth. What limits all of them are the bounds checks of the loads, so
 * 4 x 4 is taken, which has the fewest; the assembled kernel has none.
 */
function multiplyTile(
  memory: Float64Array,
  products: Float64Array,
  place: Omit<Stripe, 'tiles'> & { readonly tile: number },
): void {
  const { depth, tile } = place;
  let [c00, c01, c02, c03] = [0, 0, 0, 0];
  let [c10, c11, c12, c13] = [0, 0, 0, 0];
  let [c20, c21, c22, c23] = [0, 0, 0, 0];
  let [c30, c31, c32, c33] = [0, 0, 0, 0];
  let a = place.left;
  let b = place.right;
  for (let k = 0; k < depth; k += 1) {
    const b0 = memory[b] as number;
    const b1 = memory[b + 1] as number;
    const b2 = memory[b + 2] as number;
    const b3 = memory[b + 3] as number;
    let value = memory[a] as number;
    c00 += value * b0;
    c01 += value * b1;
    c02 += value * b2;
    c03 += value * b3;
    value = memory[a + 1] as number;
    c10 += value * b0;
    c11 += value * b1;
    c12 += value * b2;
    c13 += value * b3;
    value = memory[a + 2] as number;
    c20 += value * b0;
    c21 += value * b1;
    c22 += value * b2;
    c23 += value * b3;
    value = memory[a + 3] as number;
    c30 += value * b0;
    c31 += value * b1;
    c32 += value * b2;
    c33 += value * b3;
    a += LANES;
    b += LANES;
  }
  let at = tile * LANES;
  products[at] = c00;
  products[at + 1] = c01;
  products[at + 2] = c02;
  products[at + 3] = c03;
  at += STRIPE_COLUMNS;
  products[at] = c10;
  products[at + 1] = c11;
  products[at + 2] = c12;
  products[at + 3] = c13;
  at += STRIPE_COLUMNS;
  products[at] = c20;
  products[at + 1] = c21;
  products[at + 2] = c22;
  products[at + 3] = c23;
  at += STRIPE_COLUMNS;
  products[at] = c30;
  products[at + 1] = c31;
  products[at + 2] = c32;
  products[at + 3] = c33;
}
