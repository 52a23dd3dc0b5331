import { createRequire } from 'node:module';
import type { Dispatcher, Pool } from 'undici';

/**
 * The library's pool by itself. Its index loads caches, mocks, fetch and web sockets too, some 60 ms of CPU in each start
 * of a process, which no call of a service uses.
 */
const LibraryPool = createRequire(import.meta.url)('undici/lib/dispatcher/pool.js') as typeof Pool;

/** The connections to each origin, which can be closed one by one. */
export class Pools {
  readonly #options: Pool.Options;
  readonly #pools = new Map<string, Pool>();

  constructor(options: Pool.Options) {
    this.#options = options;
  }

  /** The connections to an origin; opened when they are needed. */
  to(origin: string): Dispatcher {
    let pool = this.#pools.get(origin);
    if (pool === undefined) {
      pool = new LibraryPool(origin, this.#options);
      this.#pools.set(origin, pool);
    }
    return pool;
  }

  /** Closes the connections to an origin, those with a call once it has ended. */
  forget(origin: string): void {
    const pool = this.#pools.get(origin);
    this.#pools.delete(origin);
    pool?.close().catch(() => undefined);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.close()));
  }
}
