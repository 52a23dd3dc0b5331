import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../adapters/system/index.ts';
import { createLogger, createMetrics, type MetricsRegistry, noFailPoints } from '../../runtime/index.ts';
import { SERVICE_NAMES } from '../../contract/route.ts';
import { Deployed } from '../deploy/deployed.ts';
import type { DeployOrder } from '../deploy/deployer.ts';
import { processStart } from '../process-identity.ts';
import { type Control, openControl, startControl } from './control.ts';
import { supervisorMetrics } from './metrics.ts';
import { readState, StateFile } from './state-file.ts';
import { Supervisor } from './supervisor.ts';

/** A machine may be busy. */
const PATIENCE = { timeout: 20_000 };

let dataDir: string;
let supervisor: Supervisor;
let control: Control;
let file: StateFile;
let spawned: number;
const ordered: DeployOrder[] = [];
let registry: MetricsRegistry;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'tandem-control-'));
  spawned = 0;
  const logger = createLogger({ level: 'silent' });
  file = new StateFile(dataDir, logger);
  registry = createMetrics();
  supervisor = new Supervisor({
    identity: { pid: process.pid, started: (await processStart(process.pid)) ?? '' },
    dataDir,
    app: '/app.ts',
    wanted: new Map(),
    shares: new Map(SERVICE_NAMES.map((service) => [service, { cpu: 1, memory: 128 }])),
    machine: { cpu: 4, memory: 4_096 },
    memoryMax: () => undefined,
    metrics: supervisorMetrics(registry, () => supervisor.state()),
    builds: await Deployed.load(dataDir, '/app.ts', true),
    spawn: () => {
      spawned += 1;
      return Promise.reject(new Error('this machine starts nothing'));
    },
    graceMs: 0,
    file,
    clock: systemClock(),
    logger,
    failPoints: noFailPoints,
  });
  const deployer = {
    order: (order: DeployOrder) => {
      ordered.push(order);
      return Promise.resolve();
    },
  };
  control = await startControl(dataDir, { supervisor, deployer, metrics: registry });
  await supervisor.start(undefined);
  await supervisor.publish(control.port);
});

afterEach(async () => {
  await control[Symbol.asyncDispose]();
  await supervisor.stop();
  registry.close();
  await file.remove();
  await rm(dataDir, { recursive: true, force: true });
});

describe('the control server', () => {
  const ask = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`http://127.0.0.1:${String(control.port)}${path}`, init);
  const token = (): Promise<string> => readFile(join(dataDir, 'up.token'), 'utf8');

  it('listens only to who has the token, which only this user can read', async () => {
    expect((await stat(join(dataDir, 'up.token'))).mode & 0o777).toBe(0o600);
    expect((await ask('/state')).status).toBe(401);
    expect((await ask('/state', { headers: { authorization: 'Bearer 0' } })).status).toBe(401);
    const headers = { authorization: `Bearer ${await token()}` };
    expect((await ask('/state', { headers })).status).toBe(200);
    expect((await ask('/stat', { headers })).status).toBe(404);
  });

  it.each([
    ['{', 400],
    ['{"service":"srve","replicas":1}', 400],
    ['{"service":"serve","replicas":1,"more":1}', 400],
    [`{"service":"serve","replicas":1}${' '.repeat(5_000)}`, 413],
  ])('refuses the order %s', async (body, status) => {
    const headers = { authorization: `Bearer ${await token()}` };
    expect((await ask('/scale', { method: 'POST', headers, body })).status).toBe(status);
    expect(spawned).toBe(0);
  });

  it('scales, keeps that in the file, and tries again what does not start', async () => {
    const client = await openControl(dataDir);
    await client.scale('serve', 2);
    await expect
      .poll(async () => (await client.state()).processes.map(({ restarts }) => restarts > 0), PATIENCE)
      .toEqual([true, true]);
    expect((await readState(dataDir))?.services.serve).toMatchObject({
      replicas: 2,
      min: 2,
      max: 2,
      scaled: true,
    });
    expect(spawned).toBeGreaterThanOrEqual(2);
    await client.scale('serve', 0);
    await expect.poll(async () => (await client.state()).processes, PATIENCE).toEqual([]);
  });

  it('takes a range, gives it back, and honours what the machine has', async () => {
    const client = await openControl(dataDir);
    expect((await client.scale('serve', { min: 1, max: 6 })).services.serve).toMatchObject({
      replicas: 1,
      min: 1,
      max: 6,
      scaled: true,
    });
    expect((await client.scale('serve', 6)).services.serve).toMatchObject({
      replicas: 4,
      held: '6 wanted, 4 of them fit: the machine gives 4 cores and 4096 MiB to all processes',
    });
    expect((await client.scale('serve', null)).services.serve).toMatchObject({
      replicas: 0,
      min: 0,
      max: 0,
      scaled: false,
      held: null,
    });
  });

  it('tells its metrics, to who has the token', async () => {
    const client = await openControl(dataDir);
    await client.scale('serve', 2);
    expect((await ask('/metrics')).status).toBe(401);
    const text = await (
      await ask('/metrics', { headers: { authorization: `Bearer ${await token()}` } })
    ).text();
    expect(text).toContain('supervisor_replicas{service="serve",state="wanted"} 2');
  });

  it('takes what load asks for, counts it and says why', async () => {
    const client = await openControl(dataDir);
    await client.scale('serve', { min: 1, max: 3 });
    supervisor.order('serve', { wanted: 2, reason: 'on purpose', signal: undefined });
    const { serve } = (await client.state()).services;
    expect(serve).toMatchObject({ replicas: 2, changed: { reason: 'on purpose' } });
    expect(await registry.text()).toContain('supervisor_scalings_total{service="serve",direction="up"} 1');
  });

  it('refuses more of a service than may run', async () => {
    const client = await openControl(dataDir);
    await expect(client.scale('features', 17)).rejects.toMatchObject({ code: 'CONFIGURATION' });
    await expect(client.scale('serve', 33)).rejects.toThrow('expected 0 to 32');
  });

  it('gives a restart up when the new process does not start', async () => {
    const client = await openControl(dataDir);
    await client.scale('serve', 1);
    await client.restart('serve');
    await expect
      .poll(async () => (await client.state()).services.serve, PATIENCE)
      .toMatchObject({
        restarting: false,
        problem: "The new process did not become ready; see 'tandem logs serve'",
      });
    expect((await client.state()).processes.map(({ slot }) => slot)).toEqual([1]);
  });

  it('is not found when its supervisor is gone', async () => {
    const state = await readState(dataDir);
    await writeFile(
      join(dataDir, 'up.json'),
      JSON.stringify({ ...state, supervisor: { pid: process.pid, started: 'before' } }),
    );
    await expect(openControl(dataDir)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});
