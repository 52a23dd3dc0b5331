import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SERVICE_NAMES } from '../../contract/route.ts';
import { defineDeployment, type DeploymentOptions, REPLICAS_MAX } from '../../define/index.ts';
import { loadDescription, readReplicas } from './description.ts';

describe('defineDeployment', () => {
  it('has ranges and shares for every service unless it says otherwise', () => {
    const { services, machine, downAfterSeconds } = defineDeployment({
      services: { serve: { replicas: 2, cpu: 0.5, env: { A: 'b' } }, ingest: { memory: 512 } },
      machine: { cpu: 1.5 },
    });
    expect(Object.keys(services).sort()).toEqual([...SERVICE_NAMES].sort());
    expect(services.serve).toEqual({
      replicas: { min: 2, max: 2 },
      cpu: 0.5,
      memory: 384,
      memoryEnforced: false,
      env: { A: 'b' },
    });
    expect(services.ingest).toMatchObject({ memory: 512, memoryEnforced: true });
    expect(services.train.replicas).toEqual({ min: 0, max: 2 });
    expect([machine, downAfterSeconds]).toEqual([{ cpu: 1.5 }, 60]);
  });

  it('says how many threads a features process has by its own option', () => {
    const { features } = defineDeployment({
      services: { features: { threads: 2, env: { A: 'b' } } },
    }).services;
    expect(features.env).toEqual({ TANDEM_FEATURES_THREADS: '2', A: 'b' });
  });

  it('lets a machine of one core and 4 GiB run one process of each service', () => {
    const services = Object.values(defineDeployment({}).services);
    expect(services.reduce((sum, { cpu }) => sum + cpu, 0)).toBeLessThanOrEqual(1);
    expect(services.reduce((sum, { memory }) => sum + memory, 0)).toBeLessThanOrEqual(4_096);
  });

  it.each([0, REPLICAS_MAX])('takes %i replicas', (replicas) => {
    expect(defineDeployment({ services: { train: { replicas } } }).services.train.replicas).toEqual({
      min: replicas,
      max: replicas,
    });
  });

  it.each([
    [{ features: { replicas: 17 } }, 'Replicas of features: expected 0 to 16; got 17'],
    [{ serve: { replicas: REPLICAS_MAX + 1 } }, 'Replicas of serve: expected 0 to 32'],
    [{ serve: { replicas: 1.5 } }, 'got 1.5'],
    [{ serve: { env: { DATABASE_URL: 'x' } } }, 'DATABASE_URL is the same for every process'],
    [{ serve: { env: { 'A=B': 'x' } } }, 'expected a name and a text'],
    [{ srve: {} }, "got 'srve'"],
    [{ serve: { replicas: { min: 3, max: 2 } } }, 'expected min to be at most max; got 3 to 2'],
    [{ serve: { replicas: { min: 1, max: 33 } } }, 'expected 0 to 32; got 33'],
    [{ features: { replicas: { min: 0, max: 1 } } }, 'because it follows the log'],
    [{ serve: { cpu: 0 } }, 'CPU of serve: expected 0.01 to 1024 cores; got 0'],
    [{ serve: { threads: 1 } }, 'only features has threads'],
    [{ features: { threads: 17 } }, 'Threads of features: expected 0 to 16 threads; got 17'],
    [{ features: { threads: 0.5 } }, 'expected a whole number; got 0.5'],
    [{ serve: { memory: 64 } }, 'Memory of serve: expected 128 to 16777216 MiB; got 64'],
  ])('refuses %o', (services, text) => {
    expect(() => defineDeployment({ services } as DeploymentOptions)).toThrow(text);
  });
});

describe('loadDescription', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tandem-description-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));
  const load = () => loadDescription(join(folder, 'app.ts'));
  const write = (content: string) => writeFile(join(folder, 'tandem.config.mjs'), content);

  it('has defaults when there is no file', async () => {
    const { deployment, file } = await load();
    expect(file).toBeNull();
    expect(deployment.services.serve.replicas).toEqual({ min: 1, max: 4 });
  });

  it('reads the file beside the app', async () => {
    const definition = JSON.stringify(defineDeployment({ services: { serve: { replicas: 3 } } }));
    await write(`export default ${definition};`);
    const { deployment, file } = await load();
    expect(file).toBe(join(folder, 'tandem.config.mjs'));
    expect(deployment.services.serve.replicas).toEqual({ min: 3, max: 3 });
  });

  it.each([
    ['export default {};', 'made by defineDeployment()'],
    ["throw new TypeError('Replicas of serve');", 'could not be loaded: Replicas of serve'],
  ])('refuses %s', async (content, text) => {
    await write(content);
    await expect(load()).rejects.toMatchObject({ code: 'DEFINITION' });
    await expect(load()).rejects.toThrow(text);
  });
});

describe('readReplicas', () => {
  it('reads numbers by service', () => {
    expect([...readReplicas(['serve=2', 'train=0', 'ingest=1..4'])]).toEqual([
      ['serve', { min: 2, max: 2 }],
      ['train', { min: 0, max: 0 }],
      ['ingest', { min: 1, max: 4 }],
    ]);
  });

  it.each([
    ['serve', "expected SERVICE=NUMBER or SERVICE=FEWEST..MOST, got 'serve'"],
    ['srve=2', "Did you mean 'serve'?"],
    ['features=17', 'expected 0 to 16'],
    ['serve=33', 'expected 0 to 32'],
    ['serve=1..', 'SERVICE=FEWEST..MOST'],
    ['serve=4..1', 'expected min to be at most max'],
  ])('refuses %s', (text, message) => {
    expect(() => readReplicas([text])).toThrow(message);
  });
});
