import { execFile, spawn } from 'node:child_process';
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { removeEmbedded } from '../../src/adapters/postgres/index.ts';
import { ROOT } from '../tidy/tree.ts';

const run = promisify(execFile);

/** The environment of somebody who has only the host's Node and npm. */
function plainEnvironment(home: string): NodeJS.ProcessEnv {
  const path = (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter((folder) => !folder.includes('node_modules'));
  return { PATH: path.join(delimiter), HOME: home, npm_config_cache: join(home, '.npm') };
}

interface Person {
  readonly uid?: number;
  readonly gid?: number;
}

/** A system user that is not root, for tests that run as root. */
async function ordinaryUser(): Promise<Person> {
  if (process.getuid?.() !== 0) return {};
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  const user = lines.find((fields) => fields[0] === 'nobody');
  return { uid: Number(user?.[2]), gid: Number(user?.[3]) };
}

async function npm(
  parameters: readonly string[],
  options: Person & { readonly cwd: string; readonly home: string },
): Promise<string> {
  const { cwd, home, ...person } = options;
  const child = spawn('npm', parameters, { cwd, env: plainEnvironment(home), ...person });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  if (code !== 0) throw new Error(`npm ${parameters.join(' ')} ended with ${String(code)}:\n${output}`);
  return output;
}

/** What git knows of this tree, in a folder with another name. */
async function freshCopy(folder: string, person: Person): Promise<string> {
  const copy = join(folder, 'another name');
  await mkdir(copy);
  const { stdout } = await run('git', ['ls-files', '-z'], { cwd: ROOT, maxBuffer: 2 ** 26 });
  const files = stdout.split('\0').filter((file) => file !== '');
  await run('cp', ['--parents', '-t', copy, ...files], { cwd: ROOT });
  if (person.uid !== undefined)
    await run('chown', ['-R', `${String(person.uid)}:${String(person.gid)}`, folder]);
  return copy;
}

async function walk(person: Person): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'tandem-newcomer-'));
  try {
    if (person.uid !== undefined) await chown(folder, person.uid, person.gid ?? 0);
    const home = join(folder, 'home');
    await mkdir(home);
    const copy = await freshCopy(folder, person);
    const options = { ...person, cwd: copy, home };
    const first = await npm(['start', '--', '--once', '--report', 'r.json'], options);
    expect(first).toMatch(/installed in/);
    const report = JSON.parse(await readFile(join(copy, 'r.json'), 'utf8')) as {
      decisions: { count: number; failed: number };
    };
    expect(report.decisions.failed).toBe(0);
    expect(report.decisions.count).toBeGreaterThan(1_000);
    const second = await npm(['start', '--', '--once', '--report', 'r.json'], options);
    expect(second).not.toMatch(/installed in/);
    expect(await npm(['run', '-s', 'tandem', '--', 'doctor'], options)).toMatch(/node\s+ok/);
    await removeEmbedded(join(copy, '.tandem', 'once', 'postgres'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

describe('a newcomer', () => {
  it('starts it from a fresh copy, as whoever runs the tests', () => walk({}), 400_000);

  const isRoot = process.getuid?.() === 0;
  if (!isRoot) console.warn('skipped: a second user; only root can become one');
  it.skipIf(!isRoot)(
    'starts it from a fresh copy, as an ordinary user',
    async () => walk(await ordinaryUser()),
    400_000,
  );
});

describe('the published package', () => {
  it('runs an app of its own from the tarball', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tandem-package-'));
    try {
      await chmod(folder, 0o755);
      await run(process.execPath, [join(ROOT, 'scripts/build.mjs')], { cwd: ROOT });
      await npm(['pack', '--pack-destination', folder], { cwd: ROOT, home: folder });
      const tarball = (await readdir(folder)).find((name) => name.endsWith('.tgz')) ?? '';
      await writeFile(join(folder, 'package.json'), '{"name":"mine","version":"1.0.0","type":"module"}');
      await npm(['install', '--ignore-scripts', '--no-audit', '--no-fund', `./${tarball}`], {
        cwd: folder,
        home: folder,
      });
      const source = await readFile(join(ROOT, 'examples/fraud/app.ts'), 'utf8');
      await writeFile(join(folder, 'app.ts'), source);
      const tandem = join(folder, 'node_modules/.bin/tandem');
      const child = spawn(process.execPath, [tandem, 'dev', '--app', 'app.ts', '--port', '0', '--json'], {
        cwd: folder,
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const line = await new Promise<string>((resolve, reject) => {
        child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString()));
        child.once('exit', (code) => reject(new Error(`ended with ${String(code)}`)));
      });
      const { url } = JSON.parse(line) as { url: string };
      expect(await (await fetch(`${url}/readyz`)).json()).toMatchObject({ ready: true });
      child.kill('SIGTERM');
      expect(await new Promise<number | null>((resolve) => child.once('exit', resolve))).toBe(0);
      await removeEmbedded(join(folder, '.tandem', 'postgres'));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }, 300_000);
});
