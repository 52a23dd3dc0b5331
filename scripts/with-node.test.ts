import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ensureInstalled, isInstalled, takeLock } from './install.mjs';
import { COMMANDS, pickNode, plan } from './with-node.mjs';

const scripts = dirname(fileURLToPath(import.meta.url));
const LOCK_FILE =
  '{"packages":{"":{},"node_modules/a":{"version":"1.0.0"},"node_modules/b":{"version":"2.0.0","dev":true}}}';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tandem-clone-'));
  await mkdir(join(root, 'node_modules'));
  await writeFile(join(root, 'package-lock.json'), LOCK_FILE);
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function stamp(kind: 'runtime' | 'full', lock = LOCK_FILE): Promise<void> {
  const hash = createHash('sha256').update(lock).digest('hex');
  await writeFile(join(root, 'node_modules/.tandem-install.json'), JSON.stringify({ lock: hash, kind }));
}

describe('plan', () => {
  it('passes what follows the command through as it is', () => {
    expect(plan('/r', ['tandem', 'train', 'fraud', '--json', 'a b'])).toEqual({
      parameters: ['--conditions=tandem-source', '/r/src/cli/main.ts', 'train', 'fraud', '--json', 'a b'],
      install: 'runtime',
    });
    expect(plan('/r', ['test', 'src/ml', '-t', 'x'])).toEqual({
      parameters: [
        '--conditions=tandem-source',
        '/r/node_modules/vitest/vitest.mjs',
        'run',
        'src/ml',
        '-t',
        'x',
      ],
      install: 'full',
    });
    expect(plan('/r', ['start'])).toMatchObject({
      parameters: ['--conditions=tandem-source', '/r/examples/fraud/run.ts'],
    });
  });

  it('knows every script of the manifests, and no more', async () => {
    const examples = await readdir(join(scripts, '../examples'));
    const folders = ['.', ...examples.map((name) => join('examples', name))];
    const names = new Set<string>();
    for (const folder of folders) {
      const manifest = JSON.parse(await readFile(join(scripts, '..', folder, 'package.json'), 'utf8')) as {
        scripts?: Record<string, string>;
      };
      for (const line of Object.values(manifest.scripts ?? {})) {
        const name = /with-node\.mjs ([\w:]+)$/.exec(line)?.[1];
        if (name !== undefined) names.add(name);
      }
    }
    expect([...names].toSorted()).toEqual(Object.keys(COMMANDS).toSorted());
  });

  it.each([[[]], [['strat']], [['toString']]])('refuses %o', (parameters) => {
    expect(plan('/r', parameters)).toHaveProperty('error');
  });
});

describe('pickNode', () => {
  it('keeps a Node.js that is new enough, else takes the one that npm installed', async () => {
    expect(pickNode(root, '24.0.0', '/bin/node')).toBe('/bin/node');
    expect(pickNode(root, '26.1.0', '/bin/node')).toBe('/bin/node');
    expect(pickNode(root, '20.20.2', '/bin/node')).toBeUndefined();
    const bin = join(root, `node_modules/node-${process.platform}-${process.arch}/bin`);
    await mkdir(bin, { recursive: true });
    await writeFile(join(bin, 'node'), '');
    expect(pickNode(root, '20.20.2', '/bin/node')).toBe(join(bin, 'node'));
  });
});

describe('installing', () => {
  const silent = (): void => undefined;

  it('is done when the stamp is of this lock file and has what is needed', async () => {
    expect(isInstalled(root, 'runtime')).toBe(false);
    await stamp('runtime');
    expect([isInstalled(root, 'runtime'), isInstalled(root, 'full')]).toEqual([true, false]);
    await stamp('full');
    expect([isInstalled(root, 'runtime'), isInstalled(root, 'full')]).toEqual([true, true]);
    await stamp('full', '{}');
    expect(isInstalled(root, 'runtime')).toBe(false);
  });

  it('takes over what somebody installed by hand', async () => {
    const installed = { packages: { 'node_modules/a': { version: '1.0.0' } } };
    await writeFile(join(root, 'node_modules/.package-lock.json'), JSON.stringify(installed));
    await ensureInstalled(root, 'runtime', silent);
    expect([isInstalled(root, 'runtime'), isInstalled(root, 'full')]).toEqual([true, false]);
  });

  it('does not take over what lacks a workspace that came with the lock file', async () => {
    const packages = { 'examples/x': {}, 'node_modules/x': { resolved: 'examples/x', link: true } };
    await writeFile(join(root, 'package-lock.json'), JSON.stringify({ packages }));
    await writeFile(join(root, 'node_modules/.package-lock.json'), JSON.stringify({ packages }));
    await expect(ensureInstalled(root, 'runtime', silent)).rejects.toThrow(/npm could not install/);
    expect(isInstalled(root, 'runtime')).toBe(false);
  });

  it('lets one process in at a time, and is not held up by one that died', async () => {
    const lock = join(root, '.tandem/install.lock');
    await mkdir(dirname(lock));
    await writeFile(lock, '2147483646');
    let inside = 0;
    let insideMost = 0;
    const work = async (): Promise<void> => {
      const release = await takeLock(lock, silent);
      inside += 1;
      insideMost = Math.max(insideMost, inside);
      await new Promise((resolve) => void setTimeout(resolve, 10));
      inside -= 1;
      release();
    };
    await Promise.all([work(), work(), work()]);
    expect(insideMost).toBe(1);
  });
});

describe('running', () => {
  const RUN = `
    console.log('args ' + JSON.stringify(process.argv.slice(2)));
    console.log('conditions ' + process.execArgv.join(' '));
    if (process.argv[2] === 'exit') process.exit(Number(process.argv[3]));
    let signals = 0;
    for (const name of ['SIGINT', 'SIGTERM']) process.on(name, () => {
      signals += 1;
      setTimeout(() => { console.log('got ' + name + ' ' + signals); process.exit(7); }, 300);
    });
    setInterval(() => {}, 1000);
    console.log('waiting');
  `;

  async function start(
    ...parameters: string[]
  ): Promise<{ child: ChildProcess; output: () => string; code: Promise<number | null> }> {
    await stamp('full');
    await mkdir(join(root, 'examples/fraud'), { recursive: true });
    await writeFile(join(root, 'examples/fraud/run.ts'), RUN);
    await cp(scripts, join(root, 'scripts'), { recursive: true });
    const child = spawn(process.execPath, [join(root, 'scripts/with-node.mjs'), 'start', ...parameters], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += String(text)));
    const code = new Promise<number | null>((resolve) => void child.on('close', resolve));
    return { child, output: () => output, code };
  }

  it('passes parameters on and keeps the exit code', async () => {
    const { output, code } = await start('exit', '3', '--flag=a b');
    expect(await code).toBe(3);
    expect(output()).toContain('args ["exit","3","--flag=a b"]');
    expect(output()).toContain('--conditions=tandem-source');
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('passes %s on once and waits for the child', async (signal) => {
    const { child, output, code } = await start();
    await expect.poll(output, { timeout: 10_000 }).toContain('waiting');
    child.kill(signal);
    expect(await code).toBe(7);
    expect(output()).toContain(`got ${signal} 1`);
  });
});
