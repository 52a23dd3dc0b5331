import { describe, expect, it } from 'vitest';
import type { IngestResult } from '../../src/contract/index.ts';
import { openPostgres, startEmbedded } from '../../src/adapters/postgres/index.ts';
import { sourceTopic } from '../../src/contract/index.ts';
import { join } from 'node:path';
import { fetchJson, product } from '../support/product.ts';

/** How often everything is killed. */
const KILLS = 20;
const CALLERS = 6;
const RECORDS_PER_REQUEST = 20;

describe('kill -9 of everything while records come in', () => {
  it('loses no acknowledged record, stores none twice, leaves no gap, and comes up by itself each time', async () => {
    await using tandem = await product('examples/fraud/app.ts', ['--clock', 'event']);
    const acknowledged = new Set<string>();
    let serial = 0;
    const send = async (): Promise<void> => {
      const first = serial;
      serial += RECORDS_PER_REQUEST;
      const ids = Array.from({ length: RECORDS_PER_REQUEST }, (_, index) => `t${String(first + index)}`);
      const lines = ids.map((transactionId, index) =>
        JSON.stringify({
          transactionId,
          at: Date.UTC(2018, 3, 1) + (first + index) * 1_000,
          customerId: `c${String((first + index) % 97)}`,
          terminalId: `e${String((first + index) % 31)}`,
          amount: 1 + (index % 50),
        }),
      );
      // Never sent again: an id without an answer may be stored or not, one with an answer must be, once.
      const result = await fetchJson<IngestResult>(
        `${tandem.url}/v1/sources/transactions/events?results=quarantined`,
        {
          method: 'POST',
          headers: { 'content-type': 'application/x-ndjson' },
          body: lines.join('\n'),
        },
      );
      expect(result.accepted).toBe(RECORDS_PER_REQUEST);
      for (const id of ids) acknowledged.add(id);
    };
    for (let kill = 0; kill < KILLS; kill += 1) {
      await tandem.start();
      let over = false;
      const before = acknowledged.size;
      const callers = Array.from({ length: CALLERS }, async () => {
        while (!over) await send().catch(() => (over = true));
      });
      await expect.poll(() => acknowledged.size, { timeout: 30_000 }).toBeGreaterThan(before + 100);
      await new Promise((resolve) => setTimeout(resolve, (kill * 37) % 150));
      await tandem.kill();
      over = true;
      await Promise.all(callers);
    }

    const server = await startEmbedded({ directory: join(tandem.dataDir, 'postgres') });
    const postgres = await openPostgres(server.url, { applicationName: 'test', connectionsMax: 3 });
    const stored = new Map<string, number>();
    let offsets = 0;
    const topic = sourceTopic('transactions');
    for (const [partition, range] of (await postgres.log.ranges(topic)).entries()) {
      let offset = 0;
      while (offset < range.next) {
        const batches = await postgres.log.read(topic, partition, offset);
        expect(batches[0]?.base).toBe(offset);
        for (const batch of batches) {
          expect(batch.base).toBe(offset);
          for (let index = 0; index < batch.count; index += 1) {
            const { transactionId } = JSON.parse(Buffer.from(batch.record(index)).toString()) as {
              transactionId: string;
            };
            stored.set(transactionId, (stored.get(transactionId) ?? 0) + 1);
          }
          offset += batch.count;
        }
      }
      offsets += offset;
    }
    await postgres.close();
    await server.stop();
    expect([...acknowledged].filter((id) => !stored.has(id))).toEqual([]);
    expect([...stored].filter(([, times]) => times > 1)).toEqual([]);
    expect(offsets).toBe(stored.size);
    expect(acknowledged.size).toBeGreaterThan(KILLS * 100);
  }, 600_000);
});
