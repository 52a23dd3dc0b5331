import type { Aggregator } from './aggregator.ts';
import { Arena, BLOCK_LENGTH_MIN } from './arena.ts';
import { hashNumber } from './hash.ts';
import { estimate, mergeRegisters, observe, REGISTERS } from './registers.ts';
import { TABLE_COLUMNS, Tables } from './table.ts';

/** After the columns of the table: the block of the sketch, once there are more values than the limit. */
const SKETCH = TABLE_COLUMNS;
const NONE = -1;
const BYTES = 8;
/** Size of a block that holds the registers. */
const SKETCH_SIZE = Math.log2(REGISTERS / BYTES / BLOCK_LENGTH_MIN);

/**
 * `distinct`: the set of the values up to a limit, and a HyperLogLog sketch beyond it. Both depend on nothing but the set, and a
 * part can only have passed the limit if the whole did: so does the answer.
 */
export class Distinct implements Aggregator {
  readonly columns = TABLE_COLUMNS + 1;
  readonly arena = new Arena();
  readonly #limit: number;
  readonly #tables = new Tables(this.arena, 1);

  constructor(limit: number) {
    this.#limit = limit;
  }

  open(values: Float64Array, at: number): void {
    this.#tables.open(values, at);
    values[at + SKETCH] = NONE;
  }

  add(values: Float64Array, at: number, value: number): void {
    const sketch = values[at + SKETCH] ?? NONE;
    if (sketch !== NONE) {
      observe(this.arena.bytes, sketch * BYTES, hashNumber(value));
      return;
    }
    this.#tables.add(values, at, value + 0, 1);
    if (this.#tables.count(values, at) > this.#limit) this.#turn(values, at);
  }

  merge(values: Float64Array, at: number, from: Float64Array, fromAt: number): void {
    const other = from[fromAt + SKETCH] ?? NONE;
    if (other === NONE) {
      this.#tables.each(from, fromAt, (value) => this.add(values, at, value));
      return;
    }
    if (values[at + SKETCH] === NONE) this.#turn(values, at);
    const { bytes } = this.arena;
    mergeRegisters(bytes, (values[at + SKETCH] ?? 0) * BYTES, bytes, other * BYTES);
  }

  release(values: Float64Array, at: number): void {
    this.#tables.release(values, at);
    const sketch = values[at + SKETCH] ?? NONE;
    if (sketch !== NONE) this.arena.free(sketch, SKETCH_SIZE);
    values[at + SKETCH] = NONE;
  }

  finish(values: Float64Array, at: number): number {
    const sketch = values[at + SKETCH] ?? NONE;
    return sketch === NONE ? this.#tables.count(values, at) : estimate(this.arena.bytes, sketch * BYTES);
  }

  /** Turns the set into a sketch. */
  #turn(values: Float64Array, at: number): void {
    const sketch = this.arena.allocate(SKETCH_SIZE);
    this.arena.values.fill(0, sketch, sketch + REGISTERS / BYTES);
    this.#tables.each(values, at, (value) => observe(this.arena.bytes, sketch * BYTES, hashNumber(value)));
    this.#tables.release(values, at);
    values[at + SKETCH] = sketch;
  }
}
