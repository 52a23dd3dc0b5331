import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../random.ts';
import { choleskyFactor } from './cholesky.ts';
import { LANES, assembledKernel, plainKernel } from './kernel.ts';
import { updateInverse } from './low-rank.ts';
import { multiplyRight, packedRow, panelsOf, subtractProduct } from './panels.ts';
import { invertSmall, solveSmall } from './small.ts';
import { SYMMETRIC_SIDE_MAX, invertSymmetric } from './symmetric.ts';

/** Sides around the sizes of a tile (4), a block (96) and a stripe (192). */
const side = fc.oneof(fc.integer({ min: 0, max: 12 }), fc.constantFrom(95, 96, 97, 191, 193, 203, 290));

/** A symmetric positive definite matrix: a Gram matrix plus a ridge. */
function definite(n: number, seed: number): Float64Array {
  const random = new SeededRandom(seed);
  const rows = Float64Array.from({ length: n * n }, () => random.normal());
  const matrix = new Float64Array(n * n);
  for (let i = 0; i < n; i += 1)
    for (let j = 0; j < n; j += 1) {
      let sum = i === j ? 1 : 0;
      for (let k = 0; k < n; k += 1) sum += ((rows[i * n + k] ?? 0) * (rows[j * n + k] ?? 0)) / n;
      matrix[i * n + j] = sum;
    }
  return matrix;
}

/** The inverse by Gauss and Jordan with row exchanges, as in a textbook. */
function textbookInverse(matrix: Float64Array, n: number): Float64Array {
  const rows = Array.from({ length: n }, (_, i) =>
    Array.from({ length: 2 * n }, (_unused, j) => (j < n ? (matrix[i * n + j] ?? 0) : j - n === i ? 1 : 0)),
  );
  for (let column = 0; column < n; column += 1) {
    let pivot = column;
    for (let row = column; row < n; row += 1)
      if (Math.abs(rows[row]?.[column] ?? 0) > Math.abs(rows[pivot]?.[column] ?? 0)) pivot = row;
    const [top = [], other = []] = [rows[pivot], rows[column]];
    rows[pivot] = other;
    const divisor = top[column] ?? 0;
    const scaled = top.map((value) => value / divisor);
    rows.forEach((row, index) => {
      const factor = row[column] ?? 0;
      rows[index] = index === column ? scaled : row.map((value, j) => value - factor * (scaled[j] ?? 0));
    });
  }
  return Float64Array.from(rows.flatMap((row) => row.slice(n)));
}

function largestDifference(a: Float64Array, b: Float64Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((largest, value, place) => Math.max(largest, Math.abs(value - (b[place] ?? 0))), 0);
}

/** How far the product of a matrix and its inverse, both symmetric, is from the unit matrix. */
function largestResidual(matrix: Float64Array, inverse: Float64Array, n: number): number {
  let largest = 0;
  for (let i = 0; i < n; i += 1)
    for (let j = 0; j < n; j += 1) {
      let sum = i === j ? -1 : 0;
      for (let k = 0; k < n; k += 1) sum += (matrix[i * n + k] as number) * (inverse[j * n + k] as number);
      largest = Math.max(largest, Math.abs(sum));
    }
  return largest;
}

describe('the kernel', () => {
  it('gives the same bits assembled and in JavaScript', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.integer({ min: 1, max: 96 }),
        fc.integer({ min: 1, max: 48 }),
        (seed, depth, tiles) => {
          const random = new SeededRandom(seed);
          const length = (tiles + 1) * LANES * depth;
          const plain = plainKernel(length);
          const assembled = assembledKernel(length);
          if (assembled === undefined) throw new Error('This platform has no WebAssembly with vectors');
          for (let place = 0; place < length; place += 1)
            plain.memory[place] = random.normal() * 10 ** random.integer(9);
          assembled.memory.set(plain.memory);
          const stripe = { left: 0, right: LANES * depth, depth, tiles };
          plain.multiplyStripe(stripe);
          assembled.multiplyStripe(stripe);
          expect(assembled.products).toEqual(plain.products);
          expect(assembled.memory).toEqual(plain.memory);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('does all the work of panels: products of rows, and of rows with a matrix', () => {
    for (const kernel of [plainKernel, assembledKernel]) {
      const panels = {
        ...panelsOf(5, (length) => kernel(length) ?? plainKernel(length)),
        depth: 2,
      };
      const { memory } = panels.kernel;
      // Row r of the right side is (r, 1).
      for (let row = 0; row < 5; row += 1) {
        memory[panels.right + packedRow(row, 2)] = row;
        memory[panels.right + packedRow(row, 2) + LANES] = 1;
      }
      // Times the transpose of ((1, 2), (0, 3)): (r + 2, 3).
      multiplyRight(panels, Float64Array.of(1, 2, 0, 3), { from: 0, to: 5 });
      const matrix = new Float64Array(25);
      subtractProduct(matrix, panels, { from: 0, to: 0 });
      for (let row = 0; row < 5; row += 1)
        for (let column = 0; column <= row; column += 1)
          expect(matrix[row * 5 + column]).toBe(0 - ((row + 2) * column + 3));
    }
  });
});

describe('invertSymmetric', () => {
  it('is what a hand finds', () => {
    const matrix = Float64Array.of(2, 1, 1, 2);
    invertSymmetric(matrix, 2);
    [2 / 3, -1 / 3, -1 / 3, 2 / 3].forEach((value, place) => expect(matrix[place]).toBeCloseTo(value, 15));
    const empty = new Float64Array(0);
    invertSymmetric(empty, 0);
    expect(empty).toEqual(new Float64Array(0));
  });

  it('is the inverse of a textbook, symmetric to the bit, from the lower triangle alone', () => {
    fc.assert(
      fc.property(side, fc.nat(), (n, seed) => {
        const matrix = definite(n, seed);
        const lower = matrix.map((value, place) => (place % n <= Math.floor(place / n) ? value : Number.NaN));
        invertSymmetric(lower, n);
        if (n < 100) expect(largestDifference(lower, textbookInverse(matrix, n))).toBeLessThan(1e-12);
        expect(largestResidual(matrix, lower, n)).toBeLessThan(1e-12);
        for (let i = 0; i < n; i += 1)
          for (let j = 0; j < i; j += 1)
            if (lower[i * n + j] !== lower[j * n + i]) throw new Error('not symmetric');
      }),
      { numRuns: 15 },
    );
  });

  it('refuses what is not positive definite, not square or too large', () => {
    expect(() => invertSymmetric(Float64Array.of(1, 2, 2, 1), 2)).toThrow(/not positive definite: row 1/);
    expect(() => invertSymmetric(Float64Array.of(1, 1, 1, 1), 2)).toThrow(/row 1/);
    expect(() => invertSymmetric(Float64Array.of(Number.NaN), 1)).toThrow(/row 0/);
    expect(() => invertSymmetric(Float64Array.of(Number.POSITIVE_INFINITY), 1)).toThrow(/row 0/);
    const late = definite(100, 1);
    late[99 * 100 + 99] = -1;
    expect(() => invertSymmetric(late, 100)).toThrow(/row 99/);
    expect(() => invertSymmetric(new Float64Array(3), 2)).toThrow(/2 x 2 has 4 values, not 3/);
    expect(() => invertSymmetric(new Float64Array(0), SYMMETRIC_SIDE_MAX + 1)).toThrow(/0 to 16384 rows/);
  });
});

describe('choleskyFactor', () => {
  it('is a lower triangle whose product with its transpose is the matrix', () => {
    fc.assert(
      fc.property(side, fc.nat(), (n, seed) => {
        const matrix = definite(n, seed);
        const factor = matrix.slice();
        choleskyFactor(factor, n);
        const product = new Float64Array(n * n);
        for (let i = 0; i < n; i += 1)
          for (let j = 0; j < n; j += 1) {
            if (j > i && factor[i * n + j] !== 0) throw new Error('not a lower triangle');
            let sum = 0;
            for (let k = 0; k <= Math.min(i, j); k += 1)
              sum += (factor[i * n + k] ?? 0) * (factor[j * n + k] ?? 0);
            product[i * n + j] = sum;
          }
        expect(largestDifference(product, matrix)).toBeLessThan(1e-13 * Math.max(1, n));
      }),
      { numRuns: 15 },
    );
    const hand = Float64Array.of(4, 2, 2, 5);
    choleskyFactor(hand, 2);
    expect(hand).toEqual(Float64Array.of(2, 0, 1, 2));
    expect(() => choleskyFactor(Float64Array.of(1, 2, 2, 1), 2)).toThrow(/row 1/);
  });
});

describe('updateInverse', () => {
  it('is the inverse of the changed matrix, and taking away undoes adding', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1, 5, 98, 130),
        fc.constantFrom(0, 1, 3, 96, 101),
        fc.nat(),
        (n, rank, seed) => {
          const random = new SeededRandom(seed);
          const matrix = definite(n, seed);
          const inverse = matrix.slice();
          invertSymmetric(inverse, n);
          const before = inverse.slice();
          const vectors = Array.from({ length: rank }, () => {
            const indices = random.sample(n, Math.min(n, 3));
            return { indices, values: Float64Array.from(indices, () => random.normal()) };
          });
          for (const { indices, values } of vectors)
            indices.forEach((i, a) =>
              indices.forEach((j, b) => {
                matrix[i * n + j] = (matrix[i * n + j] ?? 0) + (values[a] ?? 0) * (values[b] ?? 0);
              }),
            );
          expect(updateInverse(inverse, n, { vectors, sign: 1 })).toBe(true);
          const solved = matrix.slice();
          invertSymmetric(solved, n);
          expect(largestDifference(inverse, solved)).toBeLessThan(1e-12);
          // Taking away nearly everything is refused, because rounding would be all that is left.
          const large = rank > n;
          const done = updateInverse(inverse, n, { vectors, sign: -1 });
          if (!large) expect(done).toBe(true);
          if (done) expect(largestDifference(inverse, before)).toBeLessThan(large ? 1e-9 : 1e-11);
        },
      ),
      { numRuns: 15 },
    );
  });

  it('says when nothing positive definite is left, or nearly nothing', () => {
    const vectors = [{ indices: [0], values: [2] }];
    expect(updateInverse(Float64Array.of(1, 0, 0, 1), 2, { vectors, sign: -1 })).toBe(false);
    const nearly = [{ indices: [0], values: [1 - 1e-9] }];
    expect(updateInverse(Float64Array.of(1, 0, 0, 1), 2, { vectors: nearly, sign: -1 })).toBe(false);
  });
});

describe('small equations', () => {
  it('are solved as a hand does', () => {
    const vector = Float64Array.of(3, 0);
    expect(solveSmall(Float64Array.of(2, 1, 1, 2), 2, vector)).toBe(true);
    expect(vector[0]).toBeCloseTo(2, 14);
    expect(vector[1]).toBeCloseTo(-1, 14);
    expect(solveSmall(Float64Array.of(1, 1, 1, 1), 2, vector)).toBe(false);
    expect(invertSmall(Float64Array.of(1, 2, 2, 1), 2, [1, 1])).toBe(1);
  });
});
