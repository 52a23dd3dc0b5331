import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { duckdbWarehouse } from '../../src/adapters/duckdb/index.ts';
import { directoryObjects } from '../../src/adapters/objects/index.ts';
import type { Dataset, IngestResult, Positions, VectorRead, VectorRow } from '../../src/contract/index.ts';
import { fetchJson, product } from '../support/product.ts';

const HOUR = 3_600_000;

describe('corrections and deletions over HTTP', () => {
  it('change vectors at once and after kill -9, and leave a dataset of before as it was', async () => {
    await using running = await product('test/system/fixtures/corrections/app.ts', [
      '--set',
      'features.snapshotMs=1000',
      '--set',
      'features.snapshotRecords=2',
    ]);
    await running.start();
    const since = Date.now() - HOUR;
    const order = (serial: number, total: string): Record<string, unknown> => ({
      orderId: `o${String(serial)}`,
      at: since + serial,
      customerId: 'c1',
      total,
    });
    const post = <TResult>(path: string, body: string, type = 'application/json'): Promise<TResult> =>
      fetchJson(new URL(path, running.url).href, { method: 'POST', headers: { 'content-type': type }, body });
    const send = async (...records: readonly object[]): Promise<Positions> => {
      const lines = records.map((record) => JSON.stringify(record)).join('\n');
      const result = await post<IngestResult>('/v1/sources/orders/events', lines, 'application/x-ndjson');
      expect(result).toMatchObject({ accepted: records.length, quarantined: 0 });
      return result.positions;
    };
    const candidate = { ...order(9, '1.00'), orderId: 'asked' };
    const read = async (after: Positions): Promise<VectorRow | undefined> => {
      const body = JSON.stringify({ candidates: [candidate], after, record: true });
      return (await post<VectorRead>('/v1/vectors/basket/read', body)).rows[0];
    };
    const served: VectorRow[] = [];
    const expectValues = async (values: readonly number[], after: Positions): Promise<void> => {
      const row = await read(after);
      expect(row?.values).toEqual(values);
      if (row !== undefined) served.push(row);
    };
    const build = (knowledge: string): Promise<Dataset> =>
      post('/v1/datasets', JSON.stringify({ vector: 'basket', knowledge, from: since, to: since + HOUR }));
    const restart = async (): Promise<void> => {
      await running.kill();
      await running.start();
    };

    await expectValues([4, 7], await send(order(1, '1.00'), order(2, '2.00'), order(3, '3.00')));
    const before = await build('as-served');
    const deletion = { orderId: 'o2', customerId: 'c1', _revision: 1, _deleted: true };
    const changes = [{ ...order(1, '10.00'), _revision: 2 }, deletion];
    await expectValues([3, 14], await send(...changes));
    // The producer is not sure and sends all of it again.
    const again = await send(order(1, '1.00'), order(2, '2.00'), ...changes);
    await expectValues([3, 14], again);
    await restart();
    await expectValues([3, 14], again);
    // Behind the snapshot.
    const tail = await send({ ...order(1, '20.00'), _revision: 3 }, { ...order(3, '1.00'), _revision: 1 });
    await restart();
    await expectValues([3, 22], tail);

    const rebuilt = await post<{ equal: boolean }>(`/v1/datasets/${before.id}/rebuild`, '{}');
    expect(rebuilt).toMatchObject({ equal: true });
    const latest = await build('latest');
    expect(latest.rows).toBe(2);
    const all = await build('as-served');
    expect(all.rows).toBe(served.length);
    const warehouse = duckdbWarehouse({ directory: join(running.dataDir, 'test-warehouse') });
    await using session = await warehouse.session();
    const objects = directoryObjects(join(running.dataDir, 'objects'));
    const path = await objects.path(all.file.digest);
    const { columns } = await session.query(`select * from read_parquet('${path}')`);
    const totals = [...(columns.get('customer_total_1d') ?? [])].map(Number).toSorted((a, b) => a - b);
    expect(totals).toEqual([7, 14, 14, 14, 22]);
    for (const name of all.names) expect(columns.get(name)).toEqual(columns.get(`served_${name}`));
  });
});
