import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { removeEmbedded } from '../../src/adapters/postgres/index.ts';
import type { SourceDescription } from '../../src/contract/index.ts';
import { isAlive } from '../../src/cli/process-identity.ts';
import { livingProcesses, type ProcessRecord, readState } from '../../src/cli/supervisor/state-file.ts';
import { adminHeaders } from '../support/access.ts';
import { fetchJson } from '../support/product.ts';
import { ROOT } from '../tidy/tree.ts';

const COMMAND = ['--conditions=tandem-source', join(ROOT, 'src/cli/main.ts')];
const APP = join(ROOT, 'examples/fraud/app.ts');

interface Supervised {
  readonly child: ChildProcess;
  readonly processes: readonly ProcessRecord[];
}

/** `tandem up` as a user runs it; resolves when it says that everything runs. */
async function up(dataDir: string, begun: ChildProcess[]): Promise<Supervised> {
  const replicas = ['--replicas', 'serve=2', 'train=1'];
  const parameters = ['up', '--app', APP, '--data-dir', dataDir, ...replicas, '--port', '0', '--json'];
  const child = spawn(process.execPath, [...COMMAND, ...parameters], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  begun.push(child);
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => (log = `${log}${chunk.toString()}`.slice(-8_000)));
  const processes = await new Promise<readonly ProcessRecord[]>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', (line) => {
      resolve((JSON.parse(line) as { processes: ProcessRecord[] }).processes);
    });
    child.once('exit', (code) => reject(new Error(`ended with ${String(code)}:\n${log}`)));
  });
  return { child, processes };
}

/** Another verb, with its exit code and what it wrote. */
function tandem(
  ...parameters: readonly string[]
): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...COMMAND, ...parameters], { cwd: ROOT, stdio: 'pipe' });
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    child.once('close', (code) => resolve({ code, out, err }));
  });
}

async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    await new Promise((resolve) => child.once('exit', resolve));
  }
  return child.exitCode;
}

function kill(pid: number | null): void {
  if (pid !== null) process.kill(pid, 'SIGKILL');
}

const pidsOf = (processes: readonly ProcessRecord[]): (number | null)[] => processes.map(({ pid }) => pid);

describe('tandem up', () => {
  it('keeps the processes running, scales them, and leaves them serving when it is killed itself', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'tandem-up-'));
    const begun: ChildProcess[] = [];
    const seen = new Map<number, ProcessRecord>();
    const processes = async (service?: string): Promise<readonly ProcessRecord[]> => {
      const found = (await readState(dataDir))?.processes ?? [];
      for (const record of found) if (record.pid !== null) seen.set(record.pid, record);
      return found.filter((record) => service === undefined || record.service === service);
    };
    const states = async (service: string): Promise<string[]> =>
      (await processes(service)).map(({ state }) => state);
    const isReady = async (record: ProcessRecord | undefined): Promise<boolean> =>
      (await fetch(`${record?.url ?? ''}/readyz`)).ok;
    try {
      const first = await up(dataDir, begun);
      expect(first.processes.map(({ service, state }) => `${service} ${state}`).sort()).toEqual(
        ['features', 'gateway', 'ingest', 'registry', 'serve', 'serve', 'train'].map(
          (service) => `${service} ready`,
        ),
      );
      const refused = await tandem('up', '--app', APP, '--data-dir', dataDir);
      expect(refused).toMatchObject({ code: 1 });
      expect(refused.err).toContain(`process ${String(first.child.pid)}`);

      // The port of ingest itself takes the same credentials as the gateway.
      const headers = await adminHeaders(dataDir);
      const [ingest] = await processes('ingest');
      const source = `${ingest?.url ?? ''}/v1/sources/transactions`;
      await fetchJson(`${source}/events`, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body: JSON.stringify({
          transactionId: 'a',
          at: Date.now(),
          customerId: 'c',
          terminalId: 't',
          amount: 1,
        }),
      });
      const lag = async (): Promise<number | null> =>
        (await fetchJson<SourceDescription>(source, { headers })).lag;
      await expect.poll(lag, { timeout: 10_000 }).toBe(0);

      const [killed, other] = await processes('serve');
      kill(killed?.pid ?? null);
      const restarts = async (): Promise<(string | number)[]> =>
        (await processes('serve')).flatMap(({ state, restarts: count }) => [state, count]);
      // While it comes back, the other one answers.
      for (let look = 0; look < 10; look += 1) {
        expect(await isReady(other)).toBe(true);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      await expect.poll(restarts, { timeout: 20_000 }).toEqual(['ready', 1, 'ready', 0]);
      const status = await tandem('status', '--data-dir', dataDir, '--json');
      expect(JSON.parse(status.out)).toMatchObject({
        ready: true,
        url: null,
        up: { pid: first.child.pid, replicas: { serve: 2 } },
        sources: expect.arrayContaining([expect.objectContaining({ name: 'transactions', accepted: 1 })]),
      });

      expect(await tandem('scale', 'serve', '3', '--data-dir', dataDir)).toMatchObject({ code: 0 });
      expect(await states('serve')).toEqual(['ready', 'ready', 'ready']);
      expect(await tandem('scale', 'serve', '1', '--data-dir', dataDir)).toMatchObject({ code: 0 });
      expect(await states('serve')).toEqual(['ready']);
      const [before] = await processes('serve');
      expect(await tandem('restart', 'serve', '--data-dir', dataDir)).toMatchObject({ code: 0 });
      const [after] = await processes('serve');
      expect(after?.state).toBe('ready');
      expect(after?.pid).not.toBe(before?.pid);
      const written = await tandem('logs', 'ingest', '-n', '5', '--data-dir', dataDir);
      expect(written).toMatchObject({ code: 0 });
      expect(written.out).toContain('ingest-1 | ');

      const left = await processes();
      first.child.kill('SIGKILL');
      await ended(first.child);
      for (const record of left) expect(await isReady(record)).toBe(true);
      await expect.poll(lag).toBe(0);
      const orphaned = await tandem('status', '--data-dir', dataDir, '--json');
      expect(JSON.parse(orphaned.out)).toMatchObject({ ready: true, up: { pid: null } });

      // The flag says 2 again, so that one is added to those that are taken over.
      const second = await up(dataDir, begun);
      expect(pidsOf(second.processes)).toEqual(expect.arrayContaining(pidsOf(left)));
      expect(second.processes.length).toBe(left.length + 1);
      kill((await processes('train'))[0]?.pid ?? null);
      const train = async (): Promise<unknown> =>
        (await processes('train')).map(({ state, restarts: count }) => [state, count]);
      await expect.poll(train, { timeout: 20_000 }).toEqual([['ready', 1]]);

      // Also when nothing runs any more, the gateway comes back to where its callers look for it.
      const [gateway] = await processes('gateway');
      second.child.kill('SIGKILL');
      await ended(second.child);
      for (const pid of pidsOf(await processes())) kill(pid);
      const third = await up(dataDir, begun);
      expect((await processes('gateway')).map(({ url }) => url)).toEqual([gateway?.url]);

      await processes();
      third.child.kill('SIGTERM');
      expect(await ended(third.child)).toBe(0);
      const living = await Promise.all(
        [...seen.values()].map((record) => isAlive({ ...record, pid: record.pid ?? 0 })),
      );
      expect(living).not.toContain(true);
      expect(await readState(dataDir)).toBeUndefined();
    } finally {
      for (const child of begun) child.kill('SIGKILL');
      await Promise.all(begun.map(ended));
      const state = await readState(dataDir);
      for (const { pid } of state === undefined ? [] : await livingProcesses(state)) kill(pid);
      await removeEmbedded(join(dataDir, 'postgres'));
      await rm(dataDir, { recursive: true, force: true });
    }
  }, 180_000);
});
