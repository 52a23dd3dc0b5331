import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chmod, chown, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { VERSION } from '../../src/cli/version.ts';
import { freshDatabase, type FreshDatabase } from '../conformance/embedded-server.ts';
import { buildInFolder, type FolderImage, isSent, readDockerfile } from '../support/dockerfile.ts';
import { fetchJson } from '../support/product.ts';
import { ROOT } from '../tidy/tree.ts';

const run = promisify(execFile);
/** How long a process may take to be ready on a busy machine. */
const READY_MS_MAX = 120_000;

let folder: string;
let image: FolderImage;
let database: FreshDatabase;

/** What git knows of this tree and the builder is sent. */
async function contextOf(dockerfile: string, below: string): Promise<string> {
  const ignoreFile = `${dockerfile}.dockerignore`;
  const ignore = await readFile(ignoreFile, 'utf8').catch(() => '');
  const { stdout } = await run('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: join(ROOT, below),
    maxBuffer: 2 ** 26,
  });
  const context = await mkdtemp(join(folder, 'context-'));
  // COPY makes folders that everybody may enter; this one would keep its own mode.
  await chmod(context, 0o755);
  for (const file of stdout.split('\0').filter((name) => name !== '' && isSent(name, ignore))) {
    await mkdir(dirname(join(context, file)), { recursive: true });
    await cp(join(ROOT, below, file), join(context, file));
  }
  return context;
}

const environment = {
  // The image has one Node.js: the one that runs this.
  PATH: [dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter),
  HOME: process.env['HOME'] ?? '/root',
  NO_COLOR: '1',
  // What this machine has fetched before need not come again.
  npm_config_prefer_offline: 'true',
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tandem-image-'));
  await chmod(folder, 0o755);
  database = await freshDatabase();
  const platform = await buildInFolder({
    dockerfile: join(ROOT, 'deploy/Dockerfile'),
    context: await contextOf(join(ROOT, 'deploy/Dockerfile'), '.'),
    folder: join(folder, 'platform'),
    environment,
  });
  image = await buildInFolder({
    dockerfile: join(ROOT, 'deploy/app.Dockerfile'),
    context: await contextOf(join(ROOT, 'deploy/app.Dockerfile'), 'examples/fraud'),
    folder: join(folder, 'app'),
    arguments: { TANDEM_IMAGE: 'platform' },
    images: new Map([['platform', platform]]),
    environment,
  });
}, 600_000);
afterAll(async () => {
  await database[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** An absolute path of the image, as a path of this machine. */
const here = (text: string): string => (text.startsWith('/app') ? join(image.root, text) : text);

interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<{ code: number | null; stdout: string; stderr: string }>;
}

/** Starts the image's entry point as its user, who may write to `data` and nowhere else. */
function start(parameters: readonly string[], data: string, variables: Record<string, string> = {}): Started {
  const [command = '', ...fixed] = image.entrypoint.map(here);
  const [uid, gid] = (image.user ?? '').split(':').map(Number);
  const own = Object.fromEntries(Object.entries(image.environment).map(([key, value]) => [key, here(value)]));
  const child = spawn(command, [...fixed, ...parameters], {
    cwd: here(image.workingDirectory),
    env: { PATH: environment.PATH, NO_COLOR: '1', ...own, TMPDIR: data, TANDEM_DATA_DIR: data, ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(process.getuid?.() === 0 && uid !== undefined && gid !== undefined ? { uid, gid } : {}),
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
  return { child, ended };
}

/** A folder that the image's user may write to, as a volume would be. */
async function volume(): Promise<string> {
  const path = await mkdtemp(join(folder, 'volume-'));
  const [uid, gid] = (image.user ?? '').split(':').map(Number);
  if (process.getuid?.() === 0 && uid !== undefined && gid !== undefined) await chown(path, uid, gid);
  return path;
}

describe('the image', () => {
  it('runs as somebody who is not root, by number, and holds neither secrets nor another database', async () => {
    expect(image.user).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    const { stdout } = await run('find', [
      image.root,
      '-name',
      '*.env*',
      '-o',
      '-name',
      '.git',
      '-o',
      '-name',
      'initdb',
    ]);
    expect(stdout).toBe('');
    const text = await readFile(join(ROOT, 'deploy/Dockerfile'), 'utf8');
    expect(readDockerfile(text).map(({ name }) => name)).not.toContain('ADD');
  });

  it('says its version, its configuration and its help', async () => {
    const data = await volume();
    expect(await start(['--version'], data).ended).toMatchObject({
      code: 0,
      stdout: `${VERSION}\n`,
      stderr: '',
    });
    expect((await start(image.command, data).ended).stdout).toContain('tandem [options] [command]');
    const config = await start(['config', '--json'], data).ended;
    expect(config.code).toBe(0);
    expect(config.stdout).toContain(`"value":"${here('/app/app/app.ts')}"`);
  });

  it('migrates, serves as its manifest says, and ends when it is told to', async () => {
    const data = await volume();
    const out = join(data, 'k8s');
    const rendered = await start(
      ['k8s', 'render', '--image', 'fraud:1', '--out', out, '--insecure-http'],
      data,
    ).ended;
    expect(rendered.code, rendered.stderr).toBe(0);
    const variables = {
      ...(await settingsOf(out)),
      TANDEM_DATA_DIR: data,
      TANDEM_PORT: '0',
      // A pod's own address; here there is no other than the loopback.
      TANDEM_HOST: '127.0.0.1',
      DATABASE_URL: database.url,
    };
    const migrated = await start(['migrate', '--json'], data, variables).ended;
    expect(migrated.code, migrated.stderr).toBe(0);
    for (const service of ['registry', 'features']) {
      const { child, ended } = start(['run', service, '--json'], data, variables);
      const url = await address(child, ended);
      expect(await fetchJson(`${url}/livez`)).toMatchObject({ alive: true });
      await expect
        .poll(async () => (await fetch(`${url}/readyz`)).status, { timeout: READY_MS_MAX, interval: 250 })
        .toBe(200);
      child.kill('SIGTERM');
      expect(await ended).toMatchObject({ code: 0 });
    }
  }, 300_000);

  it('is checked by something that refuses what it does not understand', async () => {
    const attempt = async (text: string): Promise<unknown> => {
      const dockerfile = join(folder, 'Wrong');
      await writeFile(dockerfile, text);
      return buildInFolder({ dockerfile, context: folder, folder: join(folder, 'wrong'), environment });
    };
    await expect(attempt('FROM x\nADD a b\n')).rejects.toThrow('ADD is not known here');
    await expect(attempt('FROM x\nRUN rm -rf /etc\n')).rejects.toThrow('leaves its folder');
    await expect(attempt('FROM x\nRUN false\n')).rejects.toThrow('Command failed');
    await expect(attempt('FROM x\nCOPY nothing there\n')).rejects.toThrow('ENOENT');
    expect(isSent('secrets.env', '*\n!src')).toBe(false);
    expect(isSent('src/index.ts', '*\n!src')).toBe(true);
    expect(isSent('src/secret', '*\n!src\nsrc/secret')).toBe(false);
  });
});

/** What the rendered ConfigMap gives every pod. */
async function settingsOf(out: string): Promise<Record<string, string>> {
  const { data } = parse(await readFile(join(out, 'config.yaml'), 'utf8')) as {
    data: Record<string, string>;
  };
  return data;
}

async function address(child: ChildProcess, ended: Started['ended']): Promise<string> {
  const { stdout } = child;
  if (stdout === null) throw new Error('no output to read');
  const line = new Promise<string>((resolve) => createInterface({ input: stdout }).once('line', resolve));
  const gone = ended.then(({ code, stderr }) =>
    Promise.reject(new Error(`ended with ${String(code)}:\n${stderr}`)),
  );
  return (JSON.parse(await Promise.race([line, gone])) as { url: string }).url;
}
