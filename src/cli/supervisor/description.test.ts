import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SERVICE_NAMES } from '../../contract/route.ts';
import { defineDeployment, type DeploymentOptions, REPLICAS_MAX } from '../../define/index.ts';
import { loadDescription, readReplicas } from './description.ts';

describe('defineDeployment', () => {
  it('is one process of every service unless it says otherwise', () => {
    const { services } = defineDeployment({ services: { serve: { replicas: 2, env: { A: 'b' } } } });
    expect(Object.keys(services).sort()).toEqual([...SERVICE_NAMES].sort());
    expect(services.serve).toEqual({ replicas: 2, env: { A: 'b' } });
    expect(services.ingest).toEqual({ replicas: 1, env: {} });
  });

  it.each([0, REPLICAS_MAX])('takes %i replicas', (replicas) => {
    expect(defineDeployment({ services: { train: { replicas } } }).services.train.replicas).toBe(replicas);
  });

  it.each([
    [{ features: { replicas: 2 } }, 'expected 0 or 1, because it keeps the online state; got 2'],
    [{ serve: { replicas: REPLICAS_MAX + 1 } }, 'Replicas of serve: expected 0 to 32'],
    [{ serve: { replicas: 1.5 } }, 'got 1.5'],
    [{ serve: { env: { DATABASE_URL: 'x' } } }, 'DATABASE_URL is the same for every process'],
    [{ serve: { env: { 'A=B': 'x' } } }, 'expected a name and a text'],
    [{ srve: {} }, "got 'srve'"],
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
    expect(deployment.services.serve.replicas).toBe(1);
  });

  it('reads the file beside the app', async () => {
    await write("export default { type: 'deployment', services: { serve: { replicas: 3, env: {} } } };");
    const { deployment, file } = await load();
    expect(file).toBe(join(folder, 'tandem.config.mjs'));
    expect(deployment.services.serve.replicas).toBe(3);
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
    expect([...readReplicas(['serve=2', 'train=0'])]).toEqual([
      ['serve', 2],
      ['train', 0],
    ]);
  });

  it.each([
    ['serve', "expected SERVICE=NUMBER, got 'serve'"],
    ['srve=2', "Did you mean 'serve'?"],
    ['features=2', 'expected 0 or 1'],
    ['serve=33', 'expected 0 to 32'],
  ])('refuses %s', (text, message) => {
    expect(() => readReplicas([text])).toThrow(message);
  });
});
