import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { FeaturesStatus, Positions, VectorRead } from '../../src/contract/index.ts';
import { freshDatabase } from '../conformance/embedded-server.ts';
import { PaymentStream, WINDOWS } from '../support/payment-stream.ts';
import {
  ended,
  type Headers,
  makeKey,
  type ServiceProcess,
  startService,
} from '../support/service-process.ts';

/** How often a replica is killed: ten times take about a minute. */
const KILLS = Number(process.env['FEATURES_KILLS'] ?? 10);
/** Events that are offered a second. */
const RATE = 20_000;
const CUSTOMERS = 2_000;
/** What state an undisturbed moment has between two kills, in milliseconds. */
const CALM_MS = 1_500;
/** A killed replica stays away for so long every third time: the other one then takes its partitions. In milliseconds. */
const AWAY_MS = 4_500;
/** Patience for a state of the replicas, in milliseconds. */
const PATIENCE_MS = 120_000;
const CANDIDATES = 100;
const REPLICAS = ['features-1', 'features-2'] as const;

async function isReady(url: string): Promise<boolean> {
  const answer = await fetch(`${url}/readyz`).catch(() => undefined);
  await answer?.arrayBuffer();
  return answer?.ok === true;
}

/** Partitions by replica once each has its half and none is on its way. */
async function isBalanced(url: string, headers: Headers): Promise<boolean> {
  const answer = await fetch(`${url}/v1/features`, { headers }).catch(() => undefined);
  if (answer?.ok !== true) return false;
  const { replicas, statePartitions } = (await answer.json()) as FeaturesStatus;
  const halves = replicas.filter(({ partitions }) => partitions === 8);
  return halves.length === REPLICAS.length && statePartitions.every(({ state }) => state === 'owned');
}

/** The vectors of customers, each read with an event of theirs that is stored: it is counted once, as in the log. */
async function readVectors(
  url: string,
  headers: Headers,
  asked: { readonly candidates: readonly unknown[]; readonly after: Positions },
): Promise<Record<string, number | null>[]> {
  const answer = await fetch(`${url}/v1/vectors/spending/read`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify({ ...asked, waitMs: 60_000 }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${String(answer.status)} ${text}`);
  const { names, rows } = JSON.parse(text) as VectorRead;
  return rows.map(({ values }) =>
    Object.fromEntries(names.map((name, index) => [name, values[index] ?? null])),
  );
}

describe('two features replicas under 20,000 events a second', () => {
  it(`lose one to kill -9 ${String(KILLS)} times, and every value is that of the events that were acknowledged`, async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'tandem-features-'));
    await using database = await freshDatabase();
    const headers = await makeKey(database.url);
    const running = new Map<string, ServiceProcess>();
    const start = async (service: string, replica: string): Promise<ServiceProcess> => {
      const started = await startService({
        service,
        replica,
        app: 'bench/fixtures/ingest/app.ts',
        dataDir,
        databaseUrl: database.url,
        settings: service === 'features' ? ['features.snapshotRecords=20000'] : [],
      });
      running.set(replica, started);
      return started;
    };
    const urlOf = (replica: string): string => running.get(replica)?.url ?? '';
    const together = async (): Promise<void> => {
      const all = async (): Promise<boolean> => {
        const found = REPLICAS.map(
          async (replica) => (await isReady(urlOf(replica))) && isBalanced(urlOf(replica), headers),
        );
        return (await Promise.all(found)).every(Boolean);
      };
      await expect.poll(all, { timeout: PATIENCE_MS, interval: 200 }).toBe(true);
    };
    try {
      const ingest = await start('ingest', 'ingest-1');
      for (const replica of REPLICAS) await start('features', replica);
      await together();
      const stream = new PaymentStream({ url: ingest.url, headers, rate: RATE, customers: CUSTOMERS });
      for (let kill = 0; kill < KILLS; kill += 1) {
        // Not always at the same moment between two snapshots.
        await sleep(CALM_MS + ((kill * 370) % 1_000));
        const victim = REPLICAS[kill % REPLICAS.length] ?? 'features-1';
        const { child } = running.get(victim) ?? {};
        child?.kill('SIGKILL');
        if (child !== undefined) await ended(child);
        if (kill % 3 === 2) await sleep(AWAY_MS);
        await start('features', victim);
        await together();
      }
      await sleep(CALM_MS);
      const sent = await stream.end();
      console.log(
        `${String(sent.events)} events, ${sent.perSecond.toFixed(0)} a second of ${String(RATE)} offered, ` +
          `${String(sent.again)} sent again, ${String(KILLS)} kills`,
      );
      expect(sent.events).toBeGreaterThan(RATE);

      const totals = { count: 0, expected: 0 };
      for (let from = 0; from < CUSTOMERS; from += CANDIDATES) {
        const customers = sent.customers.slice(from, from + CANDIDATES);
        const url = urlOf(REPLICAS[(from / CANDIDATES) % REPLICAS.length] ?? '');
        const candidates = customers.map(({ stored }) => stored);
        const rows = await readVectors(url, headers, { candidates, after: sent.positions });
        for (const [index, row] of rows.entries()) {
          const customer = customers[index];
          if (customer === undefined) throw new Error('a row too many');
          for (const window of WINDOWS) {
            const expected = customer.windows[window];
            const found = (name: string): number | null | undefined => row[`customer_${name}_${window}`];
            const at = `${customer.customerId} over ${window}`;
            expect([at, found('count')]).toEqual([at, expected.count]);
            expect([at, found('total')]).toEqual([at, expected.cents / 100]);
            expect([at, found('least')]).toEqual([at, expected.least]);
            expect([at, found('most')]).toEqual([at, expected.most]);
            expect([at, found('last')]).toEqual([at, expected.last]);
            expect(found('mean')).toBeCloseTo(expected.cents / 100 / expected.count, 7);
          }
          totals.count += row['customer_count_30d'] ?? 0;
          totals.expected += customer.windows['30d'].count;
        }
      }
      expect(totals).toEqual({ count: sent.events, expected: sent.events });
    } finally {
      for (const { child } of running.values()) child.kill('SIGTERM');
      await Promise.all([...running.values()].map(({ child }) => ended(child)));
      await rm(dataDir, { recursive: true, force: true });
    }
  }, 900_000);
});
