import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type FeaturesStatus, positionsOfRow, type VectorRead } from '../../src/contract/index.ts';
import { freshDatabase } from '../conformance/embedded-server.ts';
import {
  ended,
  type Headers,
  makeKey,
  type ServiceProcess,
  startService,
} from '../support/service-process.ts';

interface Served {
  readonly candidate: Record<string, unknown>;
  readonly read: VectorRead;
  readonly row: number;
}

async function post<TAnswer>(url: string, body: unknown, headers: Headers): Promise<TAnswer> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${String(answer.status)} ${text}`);
  return JSON.parse(text) as TAnswer;
}

/** Events that arrive and vectors that are read, all the time, until it ends. */
class Traffic {
  readonly served: Served[] = [];
  readonly errors: string[] = [];
  /** Addresses that readers may ask. */
  readonly asked: string[];
  readonly #headers: Headers;
  readonly #loops: Promise<void>[];
  #serial = 0;
  #over = false;

  constructor(ingest: string, asked: readonly string[], headers: Headers) {
    this.asked = [...asked];
    this.#headers = headers;
    this.#loops = [
      this.#repeat(() => post(`${ingest}/v1/sources/transactions/events`, this.#transaction(), headers)),
      this.#repeat((turn) => this.#read(this.asked[turn % this.asked.length] ?? '')),
      this.#repeat((turn) => this.#read(this.asked[(turn + 1) % this.asked.length] ?? '')),
    ];
  }

  async end(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#loops);
  }

  async #repeat(work: (turn: number) => Promise<unknown>): Promise<void> {
    for (let turn = 0; !this.#over; turn += 1) {
      await work(turn).catch((error: unknown) => this.errors.push(String(error)));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async #read(address: string): Promise<void> {
    const candidates = Array.from({ length: 4 }, () => this.#transaction());
    const read = await post<VectorRead>(`${address}/v1/vectors/card/read`, { candidates }, this.#headers);
    for (const [row, candidate] of candidates.entries()) this.served.push({ candidate, read, row });
  }

  #transaction(): Record<string, unknown> {
    this.#serial += 1;
    return {
      transactionId: `t${String(this.#serial)}`,
      at: Date.now(),
      customerId: `c${String((this.#serial * 7) % 50)}`,
      terminalId: `s${String((this.#serial * 11) % 40)}`,
      amount: (this.#serial % 900) / 100,
    };
  }
}

describe('three features processes', () => {
  it('lose one to kill -9, one to a pause and one in good order, and no value is wrong', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'tandem-features-'));
    await using database = await freshDatabase();
    const headers = await makeKey(database.url);
    const running: ServiceProcess[] = [];
    const start = async (service: string, replica: string): Promise<ServiceProcess> => {
      const started = await startService({
        service,
        replica,
        app: 'examples/fraud/app.ts',
        dataDir,
        databaseUrl: database.url,
        // Snapshots are saved all the time, so that late ones would show.
        settings: service === 'features' ? ['features.snapshotRecords=20'] : [],
      });
      running.push(started);
      return started;
    };
    const owners = async (address: string): Promise<Record<string, number>> => {
      const { replicas, statePartitions } = (await (
        await fetch(`${address}/v1/features`, { headers: headers })
      ).json()) as FeaturesStatus;
      const isMoving = statePartitions.some(({ state }) => state !== 'owned');
      const owned = replicas.map(({ replica, partitions }) => [replica, partitions] as const);
      return { ...Object.fromEntries(owned), ...(isMoving ? { moving: 1 } : {}) };
    };
    const balanced = async (address: string, replicas: number): Promise<void> => {
      const counts = async (): Promise<number[]> =>
        Object.values(await owners(address)).sort((one, two) => one - two);
      const wanted = replicas === 3 ? [5, 5, 6] : [8, 8];
      await expect.poll(counts, { timeout: 60_000, interval: 200 }).toEqual(wanted);
    };
    try {
      const ingest = await start('ingest', 'ingest-1');
      const first = await start('features', 'features-1');
      const second = await start('features', 'features-2');
      const third = await start('features', 'features-3');
      await balanced(first.url, 3);
      const traffic = new Traffic(ingest.url, [first.url, second.url, third.url], headers);
      await expect.poll(() => traffic.served.length, { timeout: 60_000 }).toBeGreaterThan(100);

      traffic.asked.splice(1, 1);
      // Calls that are under way at the killed one fail; none may be under way.
      await new Promise((resolve) => setTimeout(resolve, 300));
      second.child.kill('SIGKILL');
      await balanced(first.url, 2);
      const again = await start('features', 'features-2');
      await balanced(first.url, 3);
      traffic.asked.push(again.url);

      traffic.asked.splice(1, 1);
      await new Promise((resolve) => setTimeout(resolve, 300));
      third.child.kill('SIGSTOP');
      await balanced(first.url, 2);
      const known = traffic.served.length;
      await expect.poll(() => traffic.served.length, { timeout: 60_000 }).toBeGreaterThan(known + 20);
      third.child.kill('SIGCONT');
      // At once, while it still believes to own what it owned: it must not answer from its old state.
      traffic.asked.push(third.url);
      await balanced(first.url, 3);

      traffic.asked.splice(0, 1);
      await new Promise((resolve) => setTimeout(resolve, 300));
      first.child.kill('SIGTERM');
      await ended(first.child);
      await balanced(third.url, 2);
      const before = traffic.served.length;
      await expect.poll(() => traffic.served.length, { timeout: 60_000 }).toBeGreaterThan(before + 50);
      await traffic.end();
      expect(traffic.errors).toEqual([]);
      expect(traffic.served.some(({ read }) => read.others !== undefined)).toBe(true);

      const receipts = traffic.served.map(({ candidate, read, row }) => {
        const found = read.rows[row];
        if (found === undefined) throw new Error('a row is missing');
        return { candidate, asOf: found.asOf, ...positionsOfRow(read, found) };
      });
      const hash = traffic.served[0]?.read.hash;
      for (let from = 0; from < receipts.length; from += 500) {
        const { rows } = await post<Pick<VectorRead, 'rows'>>(
          `${third.url}/v1/vectors/card/replay`,
          { hash, receipts: receipts.slice(from, from + 500) },
          headers,
        );
        const served = traffic.served.slice(from, from + 500);
        expect(rows.map(({ values }) => values)).toEqual(
          served.map(({ read, row }) => read.rows[row]?.values),
        );
      }
    } finally {
      for (const { child } of running) {
        child.kill('SIGCONT');
        child.kill('SIGTERM');
      }
      await Promise.all(running.map(({ child }) => ended(child)));
      await rm(dataDir, { recursive: true, force: true });
    }
  }, 300_000);
});
