import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matrix } from '../matrix.ts';
import { SeededRandom } from '../random.ts';
import { binBytes, binMatrix } from './bins.ts';
import type { Kernel } from './kernel.ts';
import { BINS, MISSING_BIN, plainKernel } from './kernel.ts';
import { makeKernel } from './kernel-wasm.ts';
import type { NodeToSplit, SplitLimits } from './split.ts';
import { UNBOUNDED, findSplit } from './split.ts';

const COLUMNS = 3;
const ALL = { columns: COLUMNS, from: 0, to: COLUMNS } as const;

/** Rows of bins with derivatives that are whole numbers, whose sums are exact in any order. */
const data = fc
  .array(
    fc.record({
      bins: fc.tuple(...Array.from({ length: COLUMNS }, () => fc.constantFrom(0, 1, 2, 5, 254, MISSING_BIN))),
      first: fc.integer({ min: -9, max: 9 }),
      second: fc.integer({ min: 1, max: 4 }),
    }),
    { minLength: 2, maxLength: 40 },
  )
  .map((rows) => ({
    count: rows.length,
    bins: Uint8Array.from(rows.flatMap((row) => row.bins)),
    column: (column: number) => Uint8Array.from(rows, (row) => row.bins[column] ?? 0),
    derivatives: Float64Array.from(rows.flatMap((row) => [row.first, row.second])),
    rows: Int32Array.from(rows.keys()),
  }));

interface Given {
  readonly count: number;
  readonly bins: Uint8Array;
  readonly derivatives: Float64Array;
}

function histogramOf(given: Given, rows: Int32Array): Float64Array {
  const histogram = new Float64Array(COLUMNS * BINS * 2).fill(Number.NaN);
  const { bins, derivatives } = given;
  plainKernel().fillHistogram(histogram, { bins, ...ALL, derivatives }, { rows, start: 0, end: rows.length });
  return histogram;
}

const KERNELS = ['plain', 'webassembly', 'shared webassembly'] as const;

function kernelOf(which: (typeof KERNELS)[number]): Kernel {
  if (which === 'plain') return plainKernel();
  const kernel = makeKernel(1 << 20, which !== 'webassembly');
  expect(kernel.kind).toBe('webassembly');
  expect(kernel.memory === undefined).toBe(which === 'webassembly');
  return kernel;
}

function copy<TArray extends Uint8Array | Int32Array | Float64Array>(into: TArray, from: TArray): TArray {
  into.set(from);
  return into;
}

describe.each(KERNELS)('the %s kernel', (kind) => {
  it('sums derivatives and counts rows by bin', () => {
    fc.assert(
      fc.property(data, fc.nat({ max: 3 }), (given, start) => {
        const kernel = kernelOf(kind);
        const rows = copy(kernel.integers(given.count), given.rows);
        const range = { rows, start: Math.min(start, given.count), end: given.count };
        const bins = copy(kernel.bytes(given.bins.length), given.bins);
        const derivatives = copy(kernel.doubles(given.count * 2), given.derivatives);
        const expected = new Float64Array(COLUMNS * BINS * 2);
        const counted = new Int32Array(COLUMNS * BINS);
        for (let row = range.start; row < given.count; row += 1) {
          for (let column = 0; column < COLUMNS; column += 1) {
            const at = column * BINS + (given.bins[row * COLUMNS + column] ?? 0);
            expected[at * 2] = (expected[at * 2] ?? 0) + (given.derivatives[row * 2] ?? 0);
            expected[at * 2 + 1] = (expected[at * 2 + 1] ?? 0) + (given.derivatives[row * 2 + 1] ?? 0);
            counted[at] = (counted[at] ?? 0) + 1;
          }
        }
        const histogram = kernel.doubles(expected.length).fill(Number.NaN);
        kernel.fillHistogram(histogram, { bins, ...ALL, derivatives }, range);
        expect([...histogram]).toEqual([...expected]);
        const counts = kernel.integers(counted.length).fill(7);
        kernel.countRows(counts, { bins, ...ALL }, range);
        expect([...counts]).toEqual([...counted]);
        const sums = kernel.doubles(2);
        kernel.sumRows(sums, derivatives, range);
        const column = expected.subarray(0, BINS * 2);
        expect([...sums]).toEqual([0, 1].map((part) => sumOf(column.filter((_, at) => at % 2 === part))));
      }),
      { numRuns: 50 },
    );
  });

  it('moves rows stably, and the parent minus one child is the other', () => {
    fc.assert(
      fc.property(data, fc.constantFrom(0, 1, 3, 253), fc.boolean(), (given, bin, missingLeft) => {
        const kernel = kernelOf(kind);
        const column = copy(kernel.bytes(given.count), given.column(0));
        const sides = kernel.bytes(BINS).fill(1, 0, bin + 1);
        sides[MISSING_BIN] = missingLeft ? 1 : 0;
        const goesLeft = (row: number): boolean => sides[column[row] ?? 0] === 1;
        const rows = copy(kernel.integers(given.count), given.rows);
        const scratch = kernel.integers(given.count);
        const border = kernel.partitionRows({ rows, start: 1, end: given.count }, { column, sides, scratch });
        const inside = [...given.rows.subarray(1)];
        const lefts = inside.filter(goesLeft);
        expect([...rows]).toEqual([0, ...lefts, ...inside.filter((row) => !goesLeft(row))]);
        expect(border).toBe(1 + lefts.length);
        const whole = histogramOf(given, given.rows.subarray(1));
        const parent = copy(kernel.doubles(whole.length), whole);
        const child = copy(kernel.doubles(whole.length), histogramOf(given, Int32Array.from(lefts)));
        kernel.subtractHistogram(parent, child, whole.length);
        const expected = histogramOf(given, rows.slice(border));
        expect(Array.from(parent, (sum) => sum + 0)).toEqual([...expected]);
      }),
      { numRuns: 50 },
    );
  });

  it('adds to rows and takes away counts', () => {
    const kernel = kernelOf(kind);
    const margins = copy(kernel.doubles(4), Float64Array.of(1, 2, 3, 4));
    kernel.addToRows(
      margins,
      { rows: copy(kernel.integers(3), Int32Array.of(0, 3, 1)), start: 1, end: 3 },
      0.5,
    );
    expect([...margins]).toEqual([1, 2.5, 3, 4.5]);
    const counts = copy(kernel.integers(4), Int32Array.of(5, 6, 7, 8));
    kernel.subtractCounts(counts, copy(kernel.integers(4), Int32Array.of(1, 6, 0, 3)), 4);
    expect([...counts]).toEqual([4, 0, 7, 5]);
  });
});

function sumOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}

describe('both kernels', () => {
  it('differentiate the log loss to the same bits, and rightly', () => {
    const special = [0, -0, 1e-300, 0.3, -0.3, 36.7, -36.7, 699, -701, 1e9, -1e9];
    fc.assert(
      fc.property(fc.array(fc.double({ min: -60, max: 60, noNaN: true }), { maxLength: 9 }), (drawn) => {
        const given = [...drawn, ...special];
        const [plain, wasm] = KERNELS.map((kind) => {
          const kernel = kernelOf(kind);
          const count = given.length;
          const margins = copy(kernel.doubles(count), Float64Array.from(given));
          const labels = kernel.doubles(count).map((_, row) => row % 2);
          const derivatives = kernel.doubles(count * 2);
          const after = kernel.doubles(1).fill(5);
          kernel.differentiateLogistic({
            labels: copy(kernel.doubles(count), labels),
            weights: kernel.doubles(count).fill(2),
            margins,
            derivatives,
          });
          expect(after[0]).toBe(5);
          return [...derivatives];
        });
        expect(wasm).toEqual(plain);
        given.forEach((margin, row) => {
          const probability = 1 / (1 + Math.exp(-margin));
          expect(Math.abs((plain?.[row * 2] ?? 0) - 2 * (probability - (row % 2)))).toBeLessThan(1e-15);
          const second = 2 * probability * (1 - probability);
          expect(Math.abs((plain?.[row * 2 + 1] ?? 0) - second)).toBeLessThan(1e-15);
        });
      }),
    );
  });

  it('put values into the same bins', () => {
    const random = new SeededRandom(3);
    const values = Float32Array.from({ length: 7 * 1500 }, (_, at) =>
      random.uniform() < 0.1 ? Number.NaN : at % 7 === 3 ? random.integer(3) : random.normal(),
    );
    values.set([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 0], 4000);
    const features = matrix(1500, 7, values);
    const kernel = makeKernel(binBytes(1500, 7));
    expect(kernel.kind).toBe('webassembly');
    const [plain, wasm] = [plainKernel(), kernel].map((own) => binMatrix(features, { kernel: own }));
    expect([...(wasm?.byRow ?? [])]).toEqual([...(plain?.byRow ?? [])]);
    expect(wasm?.byColumn.map((bins) => [...bins])).toEqual(plain?.byColumn.map((bins) => [...bins]));
  });

  it('fall back to the plain one where the memory cannot be had, and refuse foreign arrays', () => {
    expect(makeKernel(2 ** 32 + 1).kind).toBe('plain');
    const kernel = makeKernel(100);
    expect(() =>
      kernel.addToRows(new Float64Array(1), { rows: kernel.integers(1), start: 0, end: 1 }, 1),
    ).toThrow(/not in the kernel's memory/);
    expect(() => kernel.doubles(1e6)).toThrow(/is full/);
  });
});

const LIMITS: SplitLimits = { lambda: 1, alpha: 0, minHessian: 1e-6, minRows: 1, minGain: 0.5 };

function nodeOf(given: Given & { readonly rows: Int32Array }, sums: NodeToSplit['sums']): NodeToSplit {
  return {
    histogram: histogramOf(given, given.rows),
    counts: undefined,
    columns: {
      lastBins: new Int32Array(COLUMNS).fill(254),
      equality: new Uint8Array(COLUMNS),
      directions: undefined,
    },
    considered: Int32Array.from({ length: COLUMNS }, (_, column) => column),
    within: ALL,
    sums,
    rows: given.count,
    bounds: UNBOUNDED,
  };
}

describe('findSplit', () => {
  it('finds the largest gain of all splits', () => {
    fc.assert(
      fc.property(
        data,
        fc.integer({ min: 0, max: 4 }),
        fc.integer({ min: 1, max: 6 }),
        (given, lambda, minHessian) => {
          const sums = (rows: readonly number[]): { gradient: number; hessian: number } => ({
            gradient: rows.reduce((sum, row) => sum + (given.derivatives[row * 2] ?? 0), 0),
            hessian: rows.reduce((sum, row) => sum + (given.derivatives[row * 2 + 1] ?? 0), 0),
          });
          const score = ({ gradient, hessian }: { gradient: number; hessian: number }): number =>
            gradient ** 2 / (hessian + lambda);
          const all = [...given.rows];
          let best = 0.5;
          for (let column = 0; column < COLUMNS; column += 1) {
            const bins = given.column(column);
            for (let bin = 0; bin < MISSING_BIN; bin += 1) {
              for (const missingLeft of [false, true]) {
                const goesLeft = (row: number): boolean =>
                  bins[row] === MISSING_BIN ? missingLeft : (bins[row] ?? 0) <= bin;
                const left = sums(all.filter(goesLeft));
                const right = sums(all.filter((row) => !goesLeft(row)));
                if (left.hessian < minHessian || right.hessian < minHessian) continue;
                best = Math.max(best, score(left) + score(right) - score(sums(all)));
              }
            }
          }
          const limits = { ...LIMITS, lambda, minHessian };
          const node = nodeOf(given, sums(all));
          expect(findSplit(node, limits)?.gain ?? 0.5).toBeCloseTo(best, 9);
          // The loop for all limits finds the same where none is set.
          const directions = new Int32Array(COLUMNS);
          const again = findSplit({ ...node, columns: { ...node.columns, directions } }, limits);
          expect(again?.gain ?? 0.5).toBeCloseTo(best, 9);
        },
      ),
      { numRuns: 40 },
    );
  });
});
