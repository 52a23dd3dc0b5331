import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { adminKeyFile } from '../../src/cli/admin-key.ts';
import { readState, type ServiceRecord } from '../../src/cli/supervisor/state-file.ts';
import type { ServiceName } from '../../src/contract/index.ts';
import { readApiKey } from '../../src/runtime/auth/api-key.ts';
import { startLoad } from '../chaos/support/load.ts';
import { Platform } from '../chaos/support/platform.ts';
import { release, sendHistory } from '../chaos/support/releases.ts';
import { Requests } from '../chaos/support/requests.ts';
import { makeTarget } from '../chaos/support/target.ts';
import { gatewayTarget } from '../support/gateway-target.ts';
import { ROOT } from '../tidy/tree.ts';

const APP = join(ROOT, 'test/system/fixtures/scale/app.ts');
/** A machine may be busy. */
const PATIENCE = { timeout: 90_000, interval: 250 };
const SEED = 11;
const note = (): void => undefined;

describe('the number of processes', () => {
  it('follows load up and down without a failed request, from zero and back, within the machine', async () => {
    await using platform = await Platform.start({ app: APP, note });
    const states = async (service: ServiceName): Promise<string[]> =>
      (await platform.processes(service)).map(({ state }) => state);
    const record = async (service: ServiceName): Promise<ServiceRecord | undefined> =>
      (await readState(platform.dataDir))?.services[service];

    // Nobody trains anything yet.
    expect(await states('train')).toEqual([]);
    const recipe = gatewayTarget(platform.dataDir);
    await using requests = new Requests(await makeTarget(recipe));
    await sendHistory(requests, SEED);
    const trained = await platform.tandem('train', 'returning', '--json');
    expect(trained.err).toBe('');
    expect(trained.code).toBe(0);
    const { version } = JSON.parse(trained.out) as { version: number };
    expect((await record('train'))?.changed?.reason).toMatch(/a call waits for it|open jobs/);
    await release(requests, version, 'scale');
    await expect.poll(() => states('train'), PATIENCE).toEqual([]);
    expect((await record('train'))?.changed?.reason).toBe('nothing to do for 5 s');

    // Any load asks for three of serve; there is room for two.
    const load = { target: recipe, eventsPerSecond: 20, decisionsPerSecond: 100, decisionMs: 60_000 };
    await using busy = await startLoad({ ...load, seed: SEED });
    await expect.poll(() => states('serve'), PATIENCE).toEqual(['ready', 'ready']);
    await expect
      .poll(async () => (await record('serve'))?.held, PATIENCE)
      .toMatch(/^3 wanted, 2 of them fit/);
    const status = await platform.tandem('status');
    expect(status.out).toMatch(
      /serve\s+2\/2\s+1\.\.3\s+requests in flight .* target 0.1; 3 wanted, 2 of them fit/,
    );

    // Down in the midst of it, and up again.
    expect(await platform.tandem('scale', 'serve', '1')).toMatchObject({ code: 0 });
    expect(await states('serve')).toEqual(['ready']);
    expect(await platform.tandem('scale', 'serve', 'auto')).toMatchObject({ code: 0 });
    await expect.poll(() => states('serve'), PATIENCE).toEqual(['ready', 'ready']);
    const { decisions, events, wrong } = await busy.stop();
    expect(wrong).toEqual([]);
    expect([decisions.failed, decisions.pending, events.pending]).toEqual([0, 0, 0]);
    expect(decisions.answered).toBe(decisions.due);
    await expect.poll(() => states('serve'), PATIENCE).toEqual(['ready']);
    expect((await record('serve'))?.changed?.reason).toBe('no more than 1 wanted for 5 s');

    // One that hangs is replaced, though it never ends by itself.
    const [hung] = await platform.processes('serve');
    process.kill(hung?.pid ?? 0, 'SIGSTOP');
    const replaced = async (): Promise<unknown[]> =>
      (await platform.processes('serve')).map(({ pid, state }) => [state, pid === hung?.pid]);
    await expect.poll(replaced, PATIENCE).toEqual([['ready', false]]);
    const log = await readFile(join(platform.dataDir, 'logs', 'supervisor.log'), 'utf8');
    expect(log).toContain('A process hangs and is ended');

    // The key of whoever runs the server is revoked: the supervisor gets another one and sees what processes have to do.
    const key = (): Promise<string> => readFile(adminKeyFile(platform.dataDir), 'utf8');
    const revoked = await key();
    const { id = '' } = readApiKey(revoked.trim()) ?? {};
    expect(await platform.tandem('keys', 'revoke', id)).toMatchObject({ code: 0 });
    await expect.poll(key, PATIENCE).not.toBe(revoked);
    const signal = async (): Promise<unknown> => {
      const shown = await platform.tandem('status', '--json');
      const { up } = JSON.parse(shown.out) as {
        readonly up?: { readonly scaling: Readonly<Partial<Record<ServiceName, ServiceRecord>>> };
      };
      return up?.scaling.serve?.signal;
    };
    await expect.poll(signal, PATIENCE).toMatch(/^requests in flight/);
  }, 400_000);

  it('says why a process ends', async () => {
    const app = join(ROOT, 'test/system/fixtures/broken/app.ts');
    const replicas = { ingest: 0, features: 0, registry: 1, serve: 0, train: 0, gateway: 0 };
    const restarts = async (platform: Platform): Promise<number> =>
      (await platform.processes('registry'))[0]?.restarts ?? 0;
    await using platform = await Platform.begin({ app, replicas, note }, async (begun) => {
      await expect.poll(() => restarts(begun), PATIENCE).toBeGreaterThan(0);
    });
    const [record] = await platform.processes('registry');
    expect(record?.lastEnd).toMatchObject({
      how: 'exit code 2',
      error: expect.stringMatching(/TANDEM_REGISTRY_NO_SUCH.*\[CONFIGURATION\]$/) as unknown,
    });
    const log = await readFile(join(platform.dataDir, 'logs', 'supervisor.log'), 'utf8');
    expect(log).toMatch(/"how":"exit code 2","lastError":"[^"]*TANDEM_REGISTRY_NO_SUCH/);
    // Also while none of its processes lives.
    for (let times = 0; times < 3; times += 1) {
      const { out, err } = await platform.tandem('status');
      expect(out, err).toMatch(/registry-1 .* exit code 2; .*TANDEM_REGISTRY_NO_SUCH/);
    }
  }, 200_000);

  it('goes on when a process holds more memory than its share: another one takes its place, and the log says so', async () => {
    // The smallest share that there is: no process of ours fits into it.
    await using platform = await Platform.start({
      app: join(ROOT, 'test/system/fixtures/small/app.ts'),
      replicas: { ingest: 0, features: 0, registry: 1, serve: 0, train: 0, gateway: 0 },
      note,
    });
    const restarts = async (): Promise<number> => (await platform.processes('registry'))[0]?.restarts ?? 0;
    await expect.poll(restarts, PATIENCE).toBeGreaterThan(0);
    const log = await readFile(join(platform.dataDir, 'logs', 'supervisor.log'), 'utf8');
    expect(log).toMatch(/"how":"holds \d+ MiB of the 128 MiB it may","message":"A process holds more memory/);
  }, 200_000);
});
