import { afterEach, describe, expect, it } from 'vitest';
import { openPostgres, type Postgres } from '../../src/adapters/postgres/index.ts';
import { PlatformError } from '../../src/contract/errors.ts';
import { type ReplicaPair, replicaPair } from '../support/replica-pair.ts';
import { administrate } from './embedded-server.ts';
import { rejectionCode } from './expectations.ts';

const PATIENCE_MS = 60_000;

let pair: ReplicaPair | undefined;

afterEach(async () => {
  await pair?.[Symbol.asyncDispose]();
  pair = undefined;
});

async function openPair(): Promise<{ readonly pair: ReplicaPair; readonly postgres: Postgres }> {
  pair = await replicaPair();
  const postgres = await openPostgres(pair.url, { applicationName: 'failover', connectionsMax: 6 });
  await postgres.migrate([]);
  await postgres.log.createTopic('t', { partitions: 1 });
  return { pair, postgres };
}

async function patiently<TResult>(ask: () => Promise<TResult | undefined>): Promise<TResult> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const answer = await ask().catch((error: unknown) => {
      // Whatever comes while there is no primary must be honest and retryable.
      if (!PlatformError.is(error) || error.code !== 'UNAVAILABLE') throw error;
      return undefined;
    });
    if (answer !== undefined) return answer;
    if (performance.now() > deadline) throw new Error('It did not come back in time');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function readAll(postgres: Postgres): Promise<string[]> {
  const found: string[] = [];
  for (let offset = 0; ;) {
    const batches = await postgres.log.read('t', 0, offset);
    if (batches.length === 0) return found;
    for (const batch of batches) {
      expect(batch.base).toBe(offset);
      for (let index = 0; index < batch.count; index += 1)
        found.push(Buffer.from(batch.record(index)).toString());
      offset = batch.base + batch.count;
    }
  }
}

/** Appends one text after the other until told to stop. Every text is tried until it is acknowledged. */
function writer(postgres: Postgres): { readonly acknowledged: string[]; stop(): Promise<void> } {
  const acknowledged: string[] = [];
  const codes = new Set<string>();
  let running = true;
  const work = (async () => {
    for (let step = 0; running; step += 1) {
      const text = `event ${step}`;
      try {
        await postgres.log.append('t', 0, [Buffer.from(text)]);
        acknowledged.push(text);
      } catch (error) {
        codes.add(PlatformError.is(error) ? error.code : String(error));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  })();
  return {
    acknowledged,
    async stop() {
      running = false;
      await work;
      expect([...codes].filter((code) => code !== 'UNAVAILABLE')).toEqual([]);
    },
  };
}

async function failOver(
  { pair: { standby }, postgres }: { readonly pair: ReplicaPair; readonly postgres: Postgres },
  fail: () => Promise<void>,
): Promise<void> {
  const writing = writer(postgres);
  await patiently(async () => (writing.acknowledged.length > 20 ? true : undefined));
  await fail();
  await standby.promote();
  const before = writing.acknowledged.length;
  await patiently(async () => (writing.acknowledged.length > before + 20 ? true : undefined));
  await writing.stop();
  const stored = await readAll(postgres);
  expect(new Set(stored).size).toBe(stored.length);
  const found = new Set(stored);
  expect(writing.acknowledged.filter((text) => !found.has(text))).toEqual([]);
}

describe('PostgreSQL: several servers', () => {
  it('finds the primary among them, and goes on with the next one when it dies', async () => {
    const opened = await openPair();
    const { postgres } = opened;
    await using _ = postgres;
    let woken = 0;
    const end = postgres.signals.subscribe('changes', () => (woken += 1));
    const done: string[] = [];
    await postgres.jobs.createQueue('q', { heartbeatSeconds: 10, retries: 5, expireSeconds: 600 });
    const stop = await postgres.jobs.work<{ n: number }>('q', 1, async ({ id }) => void done.push(id));
    await failOver(opened, () => opened.pair.primary.kill());
    await patiently(() => postgres.signals.notify('changes').then(() => (woken > 0 ? true : undefined)));
    const id = await patiently(() => postgres.jobs.send('q', { n: 1 }));
    await patiently(async () => (done.includes(id) ? true : undefined));
    await patiently(() => postgres.migrate([]).then(() => true));
    end();
    await stop(0);
  });

  it('gives up connections to a primary that falls silent, and never goes back to it', async () => {
    const opened = await openPair();
    const { pair: servers, postgres } = opened;
    await using _ = postgres;
    await failOver(opened, () => servers.primary.pause());
    // Awake again, it believes that it is the primary still.
    await servers.primary.resume();
    await patiently(async () => {
      const [row] = await administrate(servers.primary.url, 'select pg_is_in_recovery() as standby');
      return row?.['standby'] === false ? true : undefined;
    });
    const port = Number(new URL(servers.standby.url).port);
    for (let round = 0; round < 20; round += 1) {
      const [row] = await patiently(() =>
        postgres.tables.query<{ port: number }>(`select current_setting('port')::int as port`),
      );
      expect(row?.port).toBe(port);
    }
  });

  it('says that no server takes writes, soon, and which ones it asked', async () => {
    const { pair: servers, postgres } = await openPair();
    await using _ = postgres;
    await servers.primary.kill();
    const error = await patiently(() =>
      postgres.tables.query('select 1').then(
        () => undefined,
        (reason: unknown) => (String(reason).includes('takes writes') ? (reason as Error) : undefined),
      ),
    );
    expect(error).toMatchObject({ code: 'UNAVAILABLE' });
    expect(error.message).toContain(`${servers.standby.host} is a standby`);
    expect(error.message).toContain(`${servers.primary.host} does not answer`);
  });

  it('does not take a commit for durable that the standby has not confirmed', async () => {
    const { pair: servers, postgres } = await openPair();
    await using _ = postgres;
    await servers.standby.kill();
    const append = rejectionCode(postgres.log.append('t', 0, [Buffer.from('unsure')]));
    await patiently(async () => {
      const rows = await administrate(
        servers.primary.url,
        `select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'`,
      );
      return rows.length > 0 ? true : undefined;
    });
    expect(await append).toBe('UNAVAILABLE');
  });

  it('refuses standbys that are not synchronous, and only warns when there is none', async () => {
    const { pair: servers, postgres } = await openPair();
    await postgres.close();
    await administrate(servers.primary.url, `alter system set synchronous_standby_names = ''`);
    await administrate(servers.primary.url, 'select pg_reload_conf()');
    const reports: unknown[] = [];
    const options = {
      applicationName: 'failover',
      connectionsMax: 3,
      report: (error: unknown) => reports.push(error),
    };
    const open = (): Promise<string | undefined> =>
      rejectionCode(openPostgres(servers.url, options).then((opened) => opened.close()));
    await patiently(async () => ((await open()) === 'UNSAFE_DATABASE' ? true : undefined));
    await servers.standby.kill();
    await patiently(async () => ((await open()) === undefined ? true : undefined));
    expect(String(reports[0])).toContain('The primary is alone');
  });
});
