import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { duckdbWarehouse } from '../../src/adapters/duckdb/index.ts';
import type { IngestResult, QuarantinedRecord, SourceDescription } from '../../src/contract/index.ts';
import { fetchJson, type Product, product } from '../support/product.ts';
import { tandem } from '../support/up.ts';
import { ROOT } from '../tidy/tree.ts';

/*
 * Files and folders sent by the command line to the product, as a user does it: killed in the middle, sent again, in every
 * form; what waits in quarantine, by its verbs; and a body that is larger than what the product may hold while its database
 * stands still.
 */

const PATIENCE = { timeout: 120_000, interval: 100 };

function line(id: string, change: Readonly<Record<string, unknown>> = {}): string {
  const record = {
    transactionId: id,
    at: '2018-04-01T12:00:00Z',
    customerId: `c${id.slice(-2)}`,
    terminalId: 't1',
    amount: 12.5,
  };
  return `${JSON.stringify({ ...record, ...change })}\n`;
}

const lines = (name: string, count: number): string =>
  Array.from({ length: count }, (_, index) => line(`${name}-${String(index)}`)).join('');

interface Summary {
  readonly accepted: number;
  readonly quarantined: number;
  readonly complete: boolean;
  readonly reasons: Readonly<Record<string, number>>;
  readonly skipped: readonly string[];
  readonly files: readonly { readonly file: string; readonly state: string; readonly before: number }[];
}

describe('files of records', { timeout: 300_000 }, () => {
  let server: Product;
  let folder: string;
  let armed: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tandem-files-'));
    armed = await mkdtemp(join(tmpdir(), 'tandem-armed-'));
    process.env['TANDEM_FAIL_POINTS'] = `folder:${armed}`;
    server = await product('examples/fraud/app.ts', ['--clock', 'event']);
    await server.start();
    delete process.env['TANDEM_FAIL_POINTS'];
  }, 240_000);
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    for (const path of [folder, armed]) await rm(path, { recursive: true, force: true });
  });

  const dataDir = (): string[] => ['--data-dir', server.dataDir];
  const send = async (...parameters: readonly string[]): Promise<Summary> => {
    const { code, out, err } = await tandem([
      'ingest',
      'transactions',
      ...parameters,
      '--json',
      ...dataDir(),
    ]);
    expect({ code, err }).toMatchObject({ code: 0 });
    return JSON.parse(out) as Summary;
  };
  const describeSource = (): Promise<SourceDescription> => fetchJson(`${server.url}/v1/sources/transactions`);
  /** Different events of the source, once all of them are applied. */
  const distinct = async (): Promise<number> => {
    await expect.poll(async () => (await describeSource()).lag, PATIENCE).toBe(0);
    const { accepted, duplicates } = await describeSource();
    return accepted - (duplicates ?? Number.NaN);
  };

  it('go on where they were after kill -9 in the middle, and lose and repeat no event', async () => {
    const count = 250_000;
    const path = join(folder, 'large.ndjson');
    await writeFile(path, lines('large', count));
    const before = await distinct();
    const command = ['--conditions=tandem-source', join(ROOT, 'src/cli/main.ts')];
    const child = spawn(
      process.execPath,
      [...command, 'ingest', 'transactions', path, '--json', ...dataDir()],
      { cwd: ROOT, stdio: 'ignore' },
    );
    await expect.poll(async () => (await describeSource()).accepted, PATIENCE).toBeGreaterThan(60_000);
    // A note of how far it is takes at most this long.
    await sleep(1_000);
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    expect((await describeSource()).accepted).toBeLessThan(count);
    const summary = await send(path);
    expect(summary.files[0]).toMatchObject({ state: 'sent' });
    expect(summary.files[0]?.before).toBeGreaterThan(0);
    expect(summary.accepted).toBe(count - (summary.files[0]?.before ?? 0));
    expect((await distinct()) - before).toBe(count);
    expect(await send(path)).toMatchObject({ accepted: 0, files: [{ state: 'unchanged', before: count }] });
  });

  it('of a folder go in the order of their names, each once, in every form', async () => {
    const path = await mkdtemp(join(folder, 'many-'));
    const warehouse = duckdbWarehouse({ directory: join(folder, 'warehouse') });
    {
      await using session = await warehouse.session();
      await session.run(
        `copy (select 'parquet-' || range as "transactionId", '2018-04-01T12:00:00Z'::timestamptz as at, 'c1' as "customerId",
          't1' as "terminalId", (range % 100)::decimal(12, 2) as amount from range(30000)) to '${join(path, 'c.parquet')}' (format parquet)`,
      );
    }
    const header = 'transactionId,at,customerId,terminalId,amount\n';
    await writeFile(join(path, 'a.ndjson'), lines('a', 100));
    await writeFile(join(path, 'b.csv.gz'), gzipSync(`${header}csv-1,2018-04-01T12:00:00Z,c1,t1,1.50\n`));
    await writeFile(join(path, 'notes.txt'), 'no records');
    await writeFile(join(path, '.hidden.ndjson'), 'no records');
    const before = await distinct();
    const summary = await send(path);
    expect(summary).toMatchObject({ accepted: 30_101, quarantined: 0, skipped: ['notes.txt'] });
    expect(summary.files.map(({ file }) => file.slice(path.length + 1))).toEqual([
      'a.ndjson',
      'b.csv.gz',
      'c.parquet',
    ]);
    expect((await distinct()) - before).toBe(30_101);
    await writeFile(join(path, 'aa.ndjson'), lines('aa', 7));
    const second = await send(path);
    expect(second).toMatchObject({ accepted: 7 });
    expect(second.files.map(({ state }) => state)).toEqual(['unchanged', 'sent', 'unchanged', 'unchanged']);
    expect(await send(path, '--again', '--parallel', '4')).toMatchObject({ accepted: 30_108 });
    expect((await distinct()) - before).toBe(30_108);
  });

  it('are taken as Parquet over HTTP, larger than a body may be elsewhere', async () => {
    const warehouse = duckdbWarehouse({ directory: join(folder, 'warehouse') });
    const path = join(folder, 'http.parquet');
    await using session = await warehouse.session();
    await session.run(
      `copy (select repeat(md5(range::varchar), 4) as "transactionId", '2018-04-01T12:00:00Z'::timestamptz as at,
        'c' || range % 97 as "customerId", 't1' as "terminalId", 1.5::decimal(12, 2) as amount from range(100000))
       to '${path}' (format parquet, compression uncompressed)`,
    );
    const body = await readFile(path);
    expect(body.length).toBeGreaterThan(11 * 1_048_576);
    const result = await fetchJson<IngestResult>(
      `${server.url}/v1/sources/transactions/events?results=quarantined`,
      {
        method: 'POST',
        headers: { 'content-type': 'application/vnd.apache.parquet' },
        body: new Uint8Array(body),
      },
    );
    expect(result).toMatchObject({ accepted: 100_000, quarantined: 0 });
  });

  it('that are wrong fail with exit codes that say how', async () => {
    const verb = (...parameters: readonly string[]): ReturnType<typeof tandem> =>
      tandem(['ingest', ...parameters, ...dataDir()]);
    const bad = join(folder, 'bad.ndjson');
    await writeFile(bad, 'x\ny\n');
    expect(await verb('transactions', bad)).toMatchObject({
      code: 1,
      err: expect.stringContaining('2 x NOT_JSON') as string,
    });
    expect(await verb('transactions', join(folder, 'none.ndjson'))).toMatchObject({ code: 2 });
    expect(await verb('transactions', bad, '--parallel', '0')).toMatchObject({ code: 2 });
    expect(await verb('nowhere', bad)).toMatchObject({
      code: 1,
      err: expect.stringContaining('SOURCE_NOT_FOUND') as string,
    });
    const broken = join(folder, 'broken.parquet');
    await writeFile(broken, 'PAR1');
    expect(await verb('transactions', broken)).toMatchObject({
      code: 1,
      err: expect.stringContaining('cannot be read as Parquet') as string,
    });
  });

  it('wait for a server that is away, and go on when it is back', async () => {
    const path = join(folder, 'patient.ndjson');
    await writeFile(path, lines('patient', 60_000));
    const before = await distinct();
    await writeFile(join(armed, 'dev.arm'), 'ingest.append.before=error:OVERLOADED@2');
    expect(await send(path)).toMatchObject({ complete: true, quarantined: 0 });
    expect((await distinct()) - before).toBe(60_000);
  });

  it('larger than what is held stream: a database that stands still holds the sender back', async () => {
    await writeFile(join(armed, 'dev.arm'), 'ingest.append.before=pause:6000@1');
    const block = Buffer.from(lines('stream', 500));
    const total = 4_000;
    let produced = 0;
    const body = Readable.from(
      (function* blocks() {
        for (; produced < total; produced += 1) yield block;
      })(),
      { highWaterMark: 1, objectMode: true },
    );
    const agent = new Agent();
    const sent = request(`${server.url}/v1/sources/transactions/events?results=quarantined`, {
      method: 'POST',
      agent,
      headers: { 'content-type': 'application/x-ndjson', 'x-tandem-timeout-ms': '300000' },
    });
    const answered = new Promise<number>((resolve, reject) => {
      sent.once('response', (response) => resolve(response.statusCode ?? 0)).once('error', reject);
    });
    body.pipe(sent);
    await sleep(4_000);
    // Two batches, and what lies in sockets: not the 240 MB that want to come.
    expect(produced * block.length).toBeLessThan(64 * 1_048_576);
    // And goes on when the database does.
    const held = produced;
    await expect.poll(() => produced, PATIENCE).toBeGreaterThan(held + 200);
    body.unpipe(sent);
    sent.end();
    expect(await answered).toBe(200);
    agent.destroy();
  });

  it('leave bad records in quarantine, where its verbs find, correct, replay and dismiss them', async () => {
    const path = join(folder, 'mixed.ndjson');
    const wrong = line('mixed-2', { amount: true });
    await writeFile(path, [line('mixed-1'), wrong, line('mixed-3', { colour: 'red' }), 'noise\n'].join(''));
    expect(await send(path)).toMatchObject({
      accepted: 1,
      quarantined: 3,
      reasons: { 'FIELD_TYPE amount': 1, 'FIELD_UNKNOWN colour': 1, NOT_JSON: 1 },
    });
    const verb = async (
      name: string,
      ...parameters: readonly string[]
    ): Promise<{ code: number | null; value: unknown; err: string }> => {
      const { code, out, err } = await tandem([
        'quarantine',
        name,
        'transactions',
        ...parameters,
        '--json',
        ...dataDir(),
      ]);
      return { code, value: out === '' ? undefined : (JSON.parse(out) as unknown), err };
    };
    const idsOf = async (...filter: readonly string[]): Promise<string[]> => {
      const { value } = await verb('list', ...filter);
      return (value as { readonly records: readonly QuarantinedRecord[] }).records.map(({ id }) => id);
    };
    const [amount = ''] = await idsOf('--field', 'amount');
    expect(await verb('show', amount)).toMatchObject({
      code: 0,
      value: { text: wrong.trim(), field: 'amount' },
    });
    const fixed = join(folder, 'fixed.json');
    await writeFile(
      fixed,
      JSON.stringify({ ...(JSON.parse(line('mixed-2')) as object), transactionId: undefined }),
    );
    expect(await verb('correct', amount, fixed)).toMatchObject({
      code: 1,
      err: expect.stringContaining('transactionId') as string,
    });
    await writeFile(fixed, line('mixed-2', { amount: '12.50' }));
    expect(await verb('correct', amount, fixed)).toMatchObject({ code: 0 });
    expect(await verb('replay', amount)).toMatchObject({ code: 0, value: { accepted: 1, quarantined: 0 } });
    expect(await verb('replay', '--all', '--field', 'colour')).toMatchObject({
      code: 1,
      value: { accepted: 0, quarantined: 1 },
    });
    const waiting = await idsOf('--since', '1h');
    expect(await verb('dismiss', '--all', '--reason', 'a test')).toMatchObject({
      code: 0,
      value: { dismissed: waiting.length },
    });
    expect(await idsOf()).toEqual([]);
    expect(await idsOf('--dismissed', '-n', '1000')).toEqual(waiting);
    expect(await verb('replay')).toMatchObject({ code: 2 });
  });
});
