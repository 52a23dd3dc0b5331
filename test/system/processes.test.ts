import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import type { IngestResult, Release, SourceDescription } from '../../src/contract/index.ts';
import { ensureAdminKey } from '../../src/cli/admin-key.ts';
import { freshDatabase } from '../conformance/embedded-server.ts';
import { adminHeaders } from '../support/access.ts';
import { fetchJson } from '../support/product.ts';
import { ROOT } from '../tidy/tree.ts';

interface Running {
  readonly url: string;
  readonly child: ChildProcess;
}

/** `tandem run <service>` as a process of its own. */
async function run(service: string, dataDir: string, databaseUrl: string): Promise<Running> {
  const parameters = [
    'run',
    service,
    '--app',
    join(ROOT, 'examples/fraud/app.ts'),
    '--data-dir',
    dataDir,
    '--json',
  ];
  const child = spawn(
    process.execPath,
    ['--conditions=tandem-source', join(ROOT, 'src/cli/main.ts'), ...parameters],
    { cwd: ROOT, env: { ...process.env, DATABASE_URL: databaseUrl }, stdio: ['ignore', 'pipe', 'ignore'] },
  );
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', (line) => {
      resolve((JSON.parse(line) as { url: string }).url.replace(/\/$/, ''));
    });
    child.once('exit', (code) => reject(new Error(`${service} ended with ${String(code)}`)));
  });
  return { url, child };
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else child.once('exit', () => resolve());
  });
}

describe('services as processes of their own', () => {
  it('find each other, and go on when one of two registries is killed and when another takes its place', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'tandem-processes-'));
    await using database = await freshDatabase();
    const running: Running[] = [];
    const start = async (service: string): Promise<Running> => {
      const started = await run(service, dataDir, database.url);
      running.push(started);
      return started;
    };
    try {
      await ensureAdminKey(database.url, dataDir);
      const headers = await adminHeaders(dataDir);
      const ingest = await start('ingest');
      await start('features');
      const registry = await start('registry');
      await start('registry');
      const serve = await start('serve');
      const record = { transactionId: 'a', at: Date.now(), customerId: 'c', terminalId: 't', amount: 1 };
      const events = `${ingest.url}/v1/sources/transactions`;
      const accepted = await fetchJson<IngestResult>(`${events}/events`, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body: JSON.stringify(record),
      });
      expect(accepted.accepted).toBe(1);
      // Ingest asks features, which it found by itself.
      await expect
        .poll(async () => (await fetchJson<SourceDescription>(events, { headers })).lag, { timeout: 20_000 })
        .toBe(0);

      const readiness = async (): Promise<boolean> => (await fetch(`${serve.url}/readyz`)).ok;
      await expect.poll(readiness, { timeout: 20_000 }).toBe(true);
      registry.child.kill('SIGKILL');
      await ended(registry.child);
      // Serve asks the registry twice a second: none of these may find it not ready.
      for (let look = 0; look < 20; look += 1) {
        expect(await readiness()).toBe(true);
        await new Promise((resolve) => setTimeout(resolve, 150));
      }
      const third = await start('registry');
      expect(await fetchJson<{ releases: Release[] }>(`${third.url}/v1/releases`, { headers })).toEqual({
        releases: [],
        next: null,
      });
    } finally {
      for (const { child } of running) child.kill('SIGTERM');
      await Promise.all(running.map(({ child }) => ended(child)));
      await rm(dataDir, { recursive: true, force: true });
    }
  }, 180_000);
});
