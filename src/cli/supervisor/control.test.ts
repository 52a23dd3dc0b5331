import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../adapters/system/index.ts';
import { createLogger, noFailPoints } from '../../runtime/index.ts';
import { processStart } from '../process-identity.ts';
import { type Control, openControl, startControl } from './control.ts';
import { readState, StateFile } from './state-file.ts';
import { Supervisor } from './supervisor.ts';

/** A machine may be busy. */
const PATIENCE = { timeout: 20_000 };

let dataDir: string;
let supervisor: Supervisor;
let control: Control;
let file: StateFile;
let spawned: number;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'tandem-control-'));
  spawned = 0;
  const logger = createLogger({ level: 'silent' });
  file = new StateFile(dataDir, logger);
  supervisor = new Supervisor({
    identity: { pid: process.pid, started: (await processStart(process.pid)) ?? '' },
    app: '/app.ts',
    wanted: new Map(),
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
  control = await startControl(dataDir, supervisor);
  await supervisor.start(undefined);
  await supervisor.publish(control.port);
});

afterEach(async () => {
  await control[Symbol.asyncDispose]();
  await supervisor.stop();
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
    expect((await readState(dataDir))?.services.serve).toMatchObject({ replicas: 2, scaled: true });
    expect(spawned).toBeGreaterThanOrEqual(2);
    await client.scale('serve', 0);
    await expect.poll(async () => (await client.state()).processes, PATIENCE).toEqual([]);
  });

  it('refuses more of a service than may run', async () => {
    const client = await openControl(dataDir);
    await expect(client.scale('features', 2)).rejects.toMatchObject({ code: 'CONFIGURATION' });
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
