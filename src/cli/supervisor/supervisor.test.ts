import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { systemClock } from '../../adapters/system/index.ts';
import type { ServiceName } from '../../contract/index.ts';
import { SERVICE_NAMES } from '../../contract/route.ts';
import { createLogger, createMetrics, noFailPoints } from '../../runtime/index.ts';
import { Deployed } from '../deploy/deployed.ts';
import { isAlive, processStart } from '../process-identity.ts';
import { supervisorMetrics } from './metrics.ts';
import { type ProcessRecord, StateFile } from './state-file.ts';
import { Supervisor } from './supervisor.ts';

/** Listens, says where, and answers nothing until it gets SIGUSR2. */
const SILENT = `
  const waiting = [];
  let answers = false;
  const server = require('node:http').createServer((_request, response) => {
    if (answers) response.end('{}'); else waiting.push(response);
  });
  process.on('SIGUSR2', () => { answers = true; for (const response of waiting) response.end('{}'); });
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));`;
/** Longer than anybody who is well needs to answer on a quiet machine, in milliseconds. */
const BUSY_MS = 6_000;
const PATIENCE = { timeout: 90_000 };

interface Silent {
  readonly child: ChildProcess;
  readonly record: ProcessRecord & { readonly pid: number };
}

async function silent(service: ServiceName, build: string): Promise<Silent> {
  const child = spawn(process.execPath, ['-e', SILENT], {
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [port] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const { pid = 0 } = child;
  const started = (await processStart(pid)) ?? '';
  const url = `http://127.0.0.1:${port}`;
  return {
    child,
    record: {
      service,
      slot: 1,
      build,
      state: 'ready',
      pid,
      started,
      url,
      restarts: 0,
      problem: null,
      lastEnd: null,
    },
  };
}

it('takes over a process that is slow to answer, and ends one that never does', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'tandem-supervisor-'));
  const logger = createLogger({ level: 'silent' });
  const registry = createMetrics();
  const spawned: ServiceName[] = [];
  const one = { standard: { min: 1, max: 1 }, scaled: null };
  const supervisor: Supervisor = new Supervisor({
    identity: { pid: process.pid, started: (await processStart(process.pid)) ?? '' },
    dataDir,
    app: '/app.ts',
    wanted: new Map([
      ['ingest', one],
      ['serve', one],
    ]),
    shares: new Map(SERVICE_NAMES.map((service) => [service, { cpu: 1, memory: 128 }])),
    machine: { cpu: 4, memory: 4_096 },
    memoryMax: () => undefined,
    metrics: supervisorMetrics(registry, () => supervisor.state()),
    builds: await Deployed.load(dataDir, '/app.ts', true),
    spawn: (service) => {
      spawned.push(service);
      return Promise.reject(new Error('this machine starts nothing'));
    },
    graceMs: 0,
    file: new StateFile(dataDir, logger),
    clock: systemClock(),
    logger,
    failPoints: noFailPoints,
  });
  const build = supervisor.state().services.ingest?.build?.id ?? '';
  const [slow, hung] = [await silent('ingest', build), await silent('serve', build)];
  try {
    const left = { ...supervisor.state(), processes: [slow.record, hung.record] };
    void supervisor.start(left);
    await sleep(BUSY_MS);
    slow.child.kill('SIGUSR2');
    const ingest = (): unknown =>
      supervisor
        .state()
        .processes.filter(({ service }) => service === 'ingest')
        .map(({ pid, state, restarts }) => [pid, state, restarts]);
    await expect.poll(ingest, PATIENCE).toEqual([[slow.record.pid, 'ready', 0]]);
    await expect.poll(() => isAlive(hung.record), PATIENCE).toBe(false);
    await expect.poll(() => spawned.includes('serve'), PATIENCE).toBe(true);
    expect(spawned).not.toContain('ingest');
  } finally {
    await supervisor.stop();
    for (const { child } of [slow, hung]) child.kill('SIGKILL');
    registry.close();
    await rm(dataDir, { recursive: true, force: true });
  }
}, 200_000);
