import { setTimeout as sleep } from 'node:timers/promises';
import type { Product } from './product.ts';

/**
 * From the request that crosses the mark to the kill, in milliseconds: it is then on its way and not
 * answered.
 */
const IN_FLIGHT_MS = 5;

/** Kills the product with everything it started once, when enough records were sent, and starts it again. */
export class KillDrill {
  readonly #product: Product;
  readonly #atRecord: number;
  readonly #tell: (text: string) => void;
  #sent = 0;
  #drill: Promise<void> | undefined;

  /** @param options.atRecord the number of records with which it happens. */
  constructor(options: { product: Product; atRecord: number; tell: (text: string) => void }) {
    this.#product = options.product;
    this.#atRecord = options.atRecord;
    this.#tell = options.tell;
  }

  /** Told of each request with records, when it is on its way. */
  sent(records: number): void {
    this.#sent += records;
    if (this.#drill !== undefined || this.#sent < this.#atRecord) return;
    this.#drill = this.#run();
    this.#drill.catch(() => undefined);
  }

  /** Rejects when the mark was never reached or the product did not come back. */
  async finished(): Promise<void> {
    if (this.#drill === undefined)
      throw new Error(`The kill at record ${String(this.#atRecord)} never happened`);
    await this.#drill;
  }

  async #run(): Promise<void> {
    await sleep(IN_FLIGHT_MS);
    this.#tell(
      `kill -9 of the product and its database after ${String(this.#sent)} records, requests in flight`,
    );
    const began = performance.now();
    await this.#product.killAndRestart();
    this.#tell(
      `it is back after ${((performance.now() - began) / 1_000).toFixed(1)} s; unanswered requests are sent again`,
    );
  }
}
