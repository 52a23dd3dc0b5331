import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { SERVICE_NAMES } from '../../contract/index.ts';
import { createLogger } from '../../runtime/index.ts';
import { readState, StateFile, type UpState } from './state-file.ts';

const service = {
  replicas: 0,
  min: 0,
  max: 0,
  scaled: false,
  signal: null,
  changed: null,
  held: null,
  restarting: false,
  problem: null,
  build: { id: '0.1.0', label: '0.1.0' },
  deployment: null,
};

function stateAt(controlPort: number): UpState {
  return {
    supervisor: { pid: 1, started: '' },
    app: 'app.ts',
    controlPort,
    services: Object.fromEntries(SERVICE_NAMES.map((name) => [name, service])) as UpState['services'],
    processes: [],
  };
}

it('what could not be written is written as soon as it can be, unless something newer was', async () => {
  const parent = await mkdtemp(join(tmpdir(), 'tandem-state-'));
  const dataDir = join(parent, 'data');
  const port = async (): Promise<number | undefined> => (await readState(dataDir))?.controlPort ?? undefined;
  try {
    const file = new StateFile(dataDir, createLogger({ level: 'silent' }));
    await file.write(stateAt(1));
    expect(await port()).toBeUndefined();
    await mkdir(dataDir);
    await expect.poll(port, { timeout: 30_000 }).toBe(1);
    await rm(dataDir, { recursive: true });
    await file.write(stateAt(2));
    await mkdir(dataDir);
    await file.write(stateAt(3));
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(await port()).toBe(3);
  } finally {
    await rm(parent, { recursive: true, force: true });
  }
});
