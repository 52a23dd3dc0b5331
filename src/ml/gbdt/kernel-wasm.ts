import { KERNEL_BASE64 } from './kernel-bytes.ts';
import type { Binning, Kernel, LogisticRows, Partition, RowRange, SharedMemory } from './kernel.ts';
import { BINS, plainKernel } from './kernel.ts';
import { SHARED_KERNEL_BASE64 } from './shared-kernel-bytes.ts';

/** Bytes of a page of WebAssembly memory. */
const PAGE_BYTES = 65_536;
/** Pages that 32 bits can address. */
const PAGES_MAX = 65_536;
/** Arrays begin at multiples of this: two vectors, so that a loop over pairs of rows may end one too far. */
const ALIGNMENT_BYTES = 32;

/** What is used of the platform's WebAssembly; the types of Node and of the language have none of it. */
declare const WebAssembly: {
  readonly Memory: new (pages: { initial: number; maximum: number; shared: boolean }) => {
    readonly buffer: ArrayBuffer | SharedArrayBuffer;
  };
  readonly Module: new (code: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: object };
  readonly CompileError: new () => Error;
};

/** The functions of kernel.wat. Arrays are positions in bytes. */
interface Exports {
  fillHistogram(
    histogram: number,
    bins: number,
    columns: number,
    width: number,
    derivatives: number,
    rows: number,
    count: number,
  ): number;
  countRows(counts: number, bins: number, columns: number, width: number, rows: number, count: number): void;
  subtractHistogram(parent: number, child: number, bytes: number): void;
  subtractCounts(parent: number, child: number, bytes: number): void;
  partitionRows(column: number, sides: number, rows: number, count: number, scratch: number): number;
  sumRows(into: number, derivatives: number, rows: number, count: number): void;
  addToRows(margins: number, rows: number, count: number, value: number): void;
  binRows(
    values: number,
    columns: number,
    features: number,
    width: number,
    cuts: number,
    count: number,
    byRow: number,
    byColumn: number,
    rows: number,
  ): void;
  differentiateLogistic(
    labels: number,
    weights: number,
    margins: number,
    derivatives: number,
    count: number,
  ): void;
}

/**
 * @internal The loops in WebAssembly when the platform has it and `bytes` of memory (a bound on all arrays
 * that will be asked for, see {@link arrayBytes}) can be had; else the plain ones. The memory is as large as
 * asked from the start, because growing would detach the arrays; the system gives its pages when they are
 * first written. It is shared with other threads only where `isShared`, as the garbage collector does not count a
 * shared memory and would let many of them wait for it.
 */
export function makeKernel(bytes: number, isShared = false): Kernel {
  const pages = Math.ceil((bytes + ALIGNMENT_BYTES) / PAGE_BYTES);
  if (pages > PAGES_MAX) return plainKernel();
  try {
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: isShared });
    return isSharedMemory(memory)
      ? kernelOver(memory)
      : wasmKernel(memory.buffer, instantiate(KERNEL_BASE64, memory));
  } catch (error) {
    // No vectors, or no memory. Anything else is a defect of ours.
    if (error instanceof WebAssembly.CompileError || error instanceof RangeError) return plainKernel();
    throw error;
  }
}

/**
 * @internal The loops over a shared memory. In a thread that has not made it they must be asked for no arrays: who has made it knows nothing
 * of them.
 */
export function kernelOver(memory: SharedMemory): Kernel {
  return { ...wasmKernel(memory.buffer, instantiate(SHARED_KERNEL_BASE64, memory)), memory };
}

function instantiate(base64: string, memory: object): Exports {
  const code = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return new WebAssembly.Instance(new WebAssembly.Module(code), { env: { memory } })
    .exports as unknown as Exports;
}

function isSharedMemory(memory: { readonly buffer: ArrayBufferLike }): memory is SharedMemory {
  return memory.buffer instanceof SharedArrayBuffer;
}

/** @internal Bytes that an array takes in a kernel's memory, with its padding. */
export function arrayBytes(length: number, elementBytes: number): number {
  return Math.ceil((length * elementBytes) / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
}

function wasmKernel(buffer: ArrayBuffer | SharedArrayBuffer, loops: Exports): Kernel {
  let free = 0;
  const take = (length: number, elementBytes: number): number => {
    const at = free;
    free += arrayBytes(length, elementBytes);
    if (free > buffer.byteLength)
      throw new Error(`The kernel's memory of ${buffer.byteLength} bytes is full`);
    return at;
  };
  const at = (array: Float64Array | Float32Array | Int32Array | Uint8Array): number => {
    if (array.buffer !== buffer) throw new Error("An array is not in the kernel's memory");
    return array.byteOffset;
  };
  const rowsAt = ({ rows, start }: RowRange): number => at(rows) + start * 4;
  return {
    kind: 'webassembly',
    bytes: (length) => new Uint8Array(buffer, take(length, 1), length),
    integers: (length) => new Int32Array(buffer, take(length, 4), length),
    floats: (length) => new Float32Array(buffer, take(length, 4), length),
    doubles: (length) => new Float64Array(buffer, take(length, 8), length),
    fillHistogram(histogram, { bins, columns, from, to, derivatives }, range) {
      loops.fillHistogram(
        at(histogram) + from * BINS * 16,
        at(bins) + from,
        columns,
        to - from,
        at(derivatives),
        rowsAt(range),
        range.end - range.start,
      );
    },
    countRows(counts, { bins, columns, from, to }, range) {
      loops.countRows(
        at(counts) + from * BINS * 4,
        at(bins) + from,
        columns,
        to - from,
        rowsAt(range),
        range.end - range.start,
      );
    },
    subtractHistogram: (parent, child, length) => loops.subtractHistogram(at(parent), at(child), length * 8),
    subtractCounts: (parent, child, length) => loops.subtractCounts(at(parent), at(child), length * 4),
    partitionRows(range, { column, sides, scratch }: Partition) {
      const count = range.end - range.start;
      return range.start + loops.partitionRows(at(column), at(sides), rowsAt(range), count, at(scratch));
    },
    sumRows: (into, derivatives, range) =>
      loops.sumRows(at(into), at(derivatives), rowsAt(range), range.end - range.start),
    addToRows: (margins, range, value) =>
      loops.addToRows(at(margins), rowsAt(range), range.end - range.start, value),
    binRows({ values, columns, features, cuts, first, count, rows, byRow, byColumn }: Binning) {
      const width = features.length;
      loops.binRows(
        at(values),
        columns,
        at(features),
        width,
        at(cuts),
        count,
        at(byRow) + first * width,
        at(byColumn) + first,
        rows,
      );
    },
    differentiateLogistic({ labels, weights, margins, derivatives }: LogisticRows) {
      loops.differentiateLogistic(at(labels), at(weights), at(margins), at(derivatives), margins.length);
    },
  };
}
