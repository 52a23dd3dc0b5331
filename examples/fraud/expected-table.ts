import { EXPECTED_FEATURES } from './expected-features.ts';

const WIDTH = EXPECTED_FEATURES.length;

/** Expected features of many transactions in flat arrays: about 130 bytes a transaction. */
export class ExpectedTable {
  #ids: Float64Array = new Float64Array(1_024);
  #cents: Int32Array = new Int32Array(1_024);
  #values: Float64Array = new Float64Array(1_024 * WIDTH);
  #rows = 0;
  /** Transactions of one customer in the same second, whose order the data set does not define. */
  readonly ties: ReadonlySet<number>;

  constructor(ties: ReadonlySet<number> = new Set()) {
    this.ties = ties;
  }

  get rows(): number {
    return this.#rows;
  }

  /** Adds a row. Ids must rise. `values` are in the order of {@link EXPECTED_FEATURES}. */
  add(id: number, values: ArrayLike<number>): void {
    if (values.length !== WIDTH)
      throw new RangeError(`Expected ${String(WIDTH)} values; got ${String(values.length)}`);
    if (this.#rows > 0 && !(id > (this.#ids[this.#rows - 1] ?? 0))) {
      throw new RangeError(
        `Expected features must be ordered by id: ${String(id)} is not above the one before it`,
      );
    }
    if (this.#rows === this.#ids.length) this.#grow();
    this.#ids[this.#rows] = id;
    this.#cents[this.#rows] = -1;
    this.#values.set(values, this.#rows * WIDTH);
    this.#rows += 1;
  }

  /** The row of a transaction, or -1. */
  rowOf(id: number): number {
    let low = 0;
    let high = this.#rows - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const found = this.#ids[middle] ?? 0;
      if (found === id) return middle;
      if (found < id) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  idAt(row: number): number {
    return this.#ids[row] ?? Number.NaN;
  }

  /** Value of the row and of the feature's place in {@link EXPECTED_FEATURES}. */
  valueAt(row: number, feature: number): number {
    return this.#values[row * WIDTH + feature] ?? Number.NaN;
  }

  /** Amount of the row's transaction in cents, -1 while it was not told. */
  centsAt(row: number): number {
    return this.#cents[row] ?? -1;
  }

  tellCents(row: number, cents: number): void {
    this.#cents[row] = cents;
  }

  #grow(): void {
    const capacity = this.#ids.length * 2;
    const ids = new Float64Array(capacity);
    ids.set(this.#ids);
    this.#ids = ids;
    const cents = new Int32Array(capacity);
    cents.set(this.#cents);
    this.#cents = cents;
    const values = new Float64Array(capacity * WIDTH);
    values.set(this.#values);
    this.#values = values;
  }
}
