import { fork } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { PlatformError } from '../../contract/errors.ts';
import type { CommandOptions, CommandRequest, CommandResult } from '../../runtime/ports/index.ts';
import { ProcessGroup } from './group.ts';
import { processCommands, type ProcessCommandsOptions, trainerFileDigests } from './index.ts';

const IS_LINUX = process.platform === 'linux';
if (!IS_LINUX)
  console.warn('skipped: limits of memory, and ends after kill -9; only Linux shows the processes');
/** For what another process does. */
const PATIENCE = { timeout: 30_000, interval: 20 };

let root: string;
let directory: string;
let app: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'commands-'));
});
beforeEach(async () => {
  const folder = await mkdtemp(join(root, 'test-'));
  directory = join(folder, 'work');
  app = join(folder, 'app');
  await mkdir(app);
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** Runs a script with Node as an app's command does. */
async function run(
  script: string,
  request: Partial<CommandRequest> = {},
  options: CommandOptions & { readonly set?: Partial<ProcessCommandsOptions> } = {},
): Promise<CommandResult> {
  await writeFile(join(app, 'script.mjs'), script);
  const command = [process.execPath, 'script.mjs'];
  const { set, ...rest } = options;
  return processCommands({
    directory,
    appDirectory: app,
    watchMs: 50,
    graceMs: 300,
    niceness: 0,
    ...set,
  }).run(
    {
      command,
      programFiles: trainerFileDigests(app, { command: request.command ?? command, files: [] }),
      inputs: [],
      outputs: [{ name: 'out', bytesMax: 1_000 }],
      timeoutMs: 60_000,
      memoryBytesMax: 4 * 2 ** 30,
      ...request,
    },
    rest,
  );
}

async function failure(work: Promise<unknown>): Promise<PlatformError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!PlatformError.is(error)) throw new Error(`Expected a PlatformError, got ${String(error)}`);
  return error;
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const folders = (): Promise<string[]> => readdir(directory);

/** Processes of whatever ran below the test's folder. */
function left(): number[] {
  return new ProcessGroup(0, `HOME=${directory}`).members();
}

describe('a command', () => {
  it('finds its inputs and its files, and its outputs are read', async () => {
    await writeFile(join(app, 'given'), 'from a path');
    await mkdir(join(app, 'lib'));
    await writeFile(join(app, 'lib/helper.mjs'), 'export const answer = 42;');
    const script = `import { readFileSync, writeFileSync } from 'node:fs';
      import { answer } from './lib/helper.mjs';
      console.log(JSON.stringify(process.argv.slice(2)));
      console.error('to standard error');
      writeFileSync('out', [readFileSync('one'), readFileSync('two'), answer].join(', '));
      process.exitCode = 3;`;
    await writeFile(join(app, 'script.mjs'), script);
    const command = [process.execPath, 'script.mjs', 'a b', '$HOME', '*'];
    const lines: string[] = [];
    const result = await run(
      script,
      {
        command,
        programFiles: trainerFileDigests(app, { command, files: ['lib'] }),
        inputs: [
          { name: 'one', bytes: new TextEncoder().encode('from bytes') },
          { name: 'two', path: join(app, 'given') },
        ],
        outputs: ['out', 'other'].map((name) => ({ name, bytesMax: 100 })),
      },
      { onLine: (line) => lines.push(line) },
    );
    expect(result.end).toEqual({ kind: 'exit', code: 3 });
    const out = result.outputs.get('out');
    expect(out?.kind === 'read' && text(out.bytes)).toBe('from bytes, from a path, 42');
    expect(result.outputs.get('other')).toEqual({ kind: 'absent' });
    expect(lines).toEqual(['["a b","$HOME","*"]']);
    expect(text(result.log)).toContain('["a b","$HOME","*"]\n');
    expect(text(result.log)).toContain('to standard error\n');
    if (IS_LINUX) expect(result.cpuSeconds).toBeGreaterThan(0);
    expect(await folders()).toEqual([]);
  });

  it('has an environment of its own, in which no secrets are, nor in that of its parent', async () => {
    vi.stubEnv('DATABASE_URL', 'postgres://secret');
    vi.stubEnv('TANDEM_ADMIN_KEY', 'secret');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
    vi.stubEnv('NODE_OPTIONS', '--no-deprecation');
    try {
      const { log } = await run(
        `import { readFileSync, writeFileSync } from 'node:fs';
         const parent = process.platform === 'linux' ? readFileSync('/proc/' + process.ppid + '/environ', 'utf8') : '';
         console.log(JSON.stringify({ names: Object.keys(process.env).sort(), ...process.env, cwd: process.cwd(), parent }));`,
      );
      const seen = JSON.parse(text(log)) as Record<string, string>;
      expect(seen['names']).toEqual(['HOME', 'LANG', 'PATH', 'TMPDIR']);
      expect(seen['HOME']).toBe(join(seen['cwd'] ?? '', 'home'));
      expect(seen['TMPDIR']).toBe(join(seen['cwd'] ?? '', 'tmp'));
      expect(text(log)).not.toContain('secret');
    } finally {
      vi.unstubAllEnvs();
    }
  });

  it('that writes no regular file, or too much, is found out', async () => {
    const outputs = [
      { name: 'link', bytesMax: 10 },
      { name: 'folder', bytesMax: 10 },
      { name: 'pipe', bytesMax: 10 },
      { name: 'large', bytesMax: 10 },
    ];
    const result = await run(
      `import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
       import { execFileSync } from 'node:child_process';
       symlinkSync('/etc/passwd', 'link');
       mkdirSync('folder');
       execFileSync('mkfifo', ['pipe']);
       writeFileSync('large', 'eleven char');`,
      { outputs },
    );
    expect(Object.fromEntries(result.outputs)).toEqual({
      link: { kind: 'irregular' },
      folder: { kind: 'irregular' },
      pipe: { kind: 'irregular' },
      large: { kind: 'too-large', bytes: 11 },
    });
  });

  it('is looked up on PATH, or lies beside the app', async () => {
    await writeFile(join(app, 'own'), '#!/bin/sh\necho own $0 > out\n');
    await chmod(join(app, 'own'), 0o700);
    await symlink(process.execPath, join(app, 'node-of-environment'));
    const copied = await run('', { command: ['./own'] });
    const out = copied.outputs.get('out');
    expect(out?.kind === 'read' && text(out.bytes)).toContain(directory);
    const linked = await run('console.log("linked")', { command: ['./node-of-environment', 'script.mjs'] });
    expect(text(linked.log)).toBe('linked\n');
    const missing = await failure(run('', { command: ['no-such-program'] }));
    expect(missing).toMatchObject({ code: 'DEFINITION' });
    expect(missing.message).toContain(`There is no program 'no-such-program' on the PATH`);
    expect((await failure(run('', { command: ['./script.mjs'] }))).message).toContain('may be run');
    expect(await folders()).toEqual([]);
  });

  it('whose file is another than when the app was loaded is refused', async () => {
    await writeFile(join(app, 'script.mjs'), 'before');
    const programFiles = trainerFileDigests(app, { command: ['node', 'script.mjs'], files: [] });
    expect(await failure(run('after', { programFiles }))).toMatchObject({ code: 'CONFLICT' });
  });
});

describe('a command beyond its limits', () => {
  it('of time is asked to end, and ended when it does not', async () => {
    const polite = await run(
      `process.on('SIGTERM', () => { console.log('asked'); process.exit(0); }); setInterval(() => {}, 1e6); console.log('up');`,
      { timeoutMs: 1_500 },
    );
    expect(polite.end).toMatchObject({ kind: 'limit', limit: 'time' });
    expect(text(polite.log)).toBe('up\nasked\n');
    const deaf = await run(`process.on('SIGTERM', () => {}); for (;;);`, { timeoutMs: 500 });
    expect(deaf.end).toMatchObject({ kind: 'limit', limit: 'time', text: 'it ran for longer than 500 ms' });
    expect(left()).toEqual([]);
  });

  it('of output is ended, and beginning and end of it are kept', async () => {
    const { end, log } = await run(
      `process.stdout.on('error', () => {});
       const line = 'x'.repeat(1023) + '\\n';
       console.log('first');
       const go = () => { for (let i = 0; i < 64; i++) process.stdout.write(line); setImmediate(go); };
       go();`,
      {},
      { set: { printedBytesMax: 2_000_000 } },
    );
    expect(end).toMatchObject({ kind: 'limit', limit: 'output' });
    expect(log.length).toBeLessThan(300_000);
    expect(text(log)).toMatch(/^first\nx{1023}\n[^]*\n\[\.\.\. \d+ bytes left out \.\.\.\]\n/);
  });

  it('of disk is ended', async () => {
    const { end } = await run(
      `import { appendFileSync } from 'node:fs';
       for (let i = 0; ; i++) appendFileSync('tmp/' + i, Buffer.alloc(1e6));`,
      {},
      { set: { diskBytesMax: 30_000_000 } },
    );
    expect(end).toMatchObject({ kind: 'limit', limit: 'disk' });
    expect(await folders()).toEqual([]);
  });

  it.runIf(IS_LINUX)('of memory is ended, whether one process takes it or several', async () => {
    const hog = `const kept = []; setInterval(() => kept.push(Buffer.alloc(2e7, 1)), 5);`;
    const one = await run(hog, { memoryBytesMax: 1_200 * 2 ** 20 });
    // The system refuses it more, or it is seen to have more.
    expect(one.end).not.toEqual({ kind: 'exit', code: 0 });
    // Each of them is below the limit.
    const several = await run(
      `import { spawn } from 'node:child_process';
       const hog = 'const kept = Buffer.alloc(4e8, 1); setInterval(() => {}, 1e6);';
       for (let i = 0; i < 4; i++) spawn(process.execPath, ['-e', hog]);
       setInterval(() => {}, 1e6);`,
      { memoryBytesMax: 1_200 * 2 ** 20 },
    );
    expect(several.end).toMatchObject({ kind: 'limit', limit: 'memory' });
    expect(left()).toEqual([]);
  });
});

describe('nothing is left of a command', () => {
  const LEAVES = `
    import { spawn } from 'node:child_process';
    const idle = ['-e', 'setInterval(() => {}, 1e6)'];
    const kept = { stdio: 'ignore' };
    spawn(process.execPath, idle, kept).unref();
    spawn(process.execPath, idle, { ...kept, detached: true }).unref();
    // One that holds the pipe of the output.
    spawn(process.execPath, idle, { stdio: 'inherit', detached: true }).unref();
    console.log('left');`;

  it('that ended and left processes behind, some in sessions of their own', async () => {
    const { end, log } = await run(LEAVES);
    expect(end).toEqual({ kind: 'exit', code: 0 });
    expect(text(log)).toBe('left\n');
    expect(left()).toEqual([]);
  });

  it('that is cancelled, and the promise rejects with the reason', async () => {
    const abort = new AbortController();
    const reason = new Error('enough');
    const running = run(
      `${LEAVES} process.on('SIGTERM', () => {}); setInterval(() => {}, 1e6);`,
      {},
      {
        signal: abort.signal,
        onLine: () => abort.abort(reason),
      },
    );
    await expect(running).rejects.toBe(reason);
    expect(left()).toEqual([]);
    expect(await folders()).toEqual([]);
    await expect(run('', {}, { signal: abort.signal })).rejects.toBe(reason);
  });

  it.runIf(IS_LINUX)('whose process is killed with kill -9, nor of its folder', async () => {
    const fixture = fileURLToPath(new URL('./fixtures/holder.ts', import.meta.url));
    await writeFile(join(app, 'script.mjs'), `${LEAVES} setInterval(() => {}, 1e6);`);
    const holder = fork(fixture, [directory, app], { execArgv: [] });
    await once(holder, 'message');
    expect(left().length).toBeGreaterThan(2);
    holder.kill('SIGKILL');
    await vi.waitUntil(() => left().length === 0, PATIENCE);
    await vi.waitUntil(async () => (await folders()).length === 0, PATIENCE);
  });

  it.runIf(IS_LINUX)('whose keeper is killed with kill -9', async () => {
    const running = run(
      `console.log(process.ppid); setInterval(() => {}, 1e6);`,
      {},
      { onLine: (line) => process.kill(Number(line), 'SIGKILL') },
    );
    expect(await failure(running)).toMatchObject({ code: 'UNAVAILABLE' });
    await vi.waitUntil(() => left().length === 0, PATIENCE);
    expect(await folders()).toEqual([]);
  });

  it.runIf(IS_LINUX)('whose process and keeper were killed, when the next one begins', async () => {
    const fixture = fileURLToPath(new URL('./fixtures/holder.ts', import.meta.url));
    await writeFile(join(app, 'script.mjs'), `${LEAVES} setInterval(() => {}, 1e6);`);
    const holder = fork(fixture, [directory, app], { execArgv: [] });
    await once(holder, 'message');
    const [first = 0] = left();
    const stat = await readFile(`/proc/${String(first)}/stat`, 'utf8');
    const keeper = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    // Stopped it cannot see that the other is gone.
    process.kill(keeper, 'SIGSTOP');
    const gone = once(holder, 'exit');
    holder.kill('SIGKILL');
    await gone;
    process.kill(keeper, 'SIGKILL');
    expect(left().length).toBeGreaterThan(0);
    await run('');
    await vi.waitUntil(() => left().length === 0, PATIENCE);
    expect(await folders()).toEqual([]);
  });
});

describe('the files of a command', () => {
  it('are those that it names beside the app, and those below named folders', async () => {
    await mkdir(join(app, 'lib/__pycache__'), { recursive: true });
    await mkdir(join(app, 'lib/sub'));
    for (const path of ['train.py', 'run', 'lib/a.py', 'lib/sub/b.py', 'lib/__pycache__/a.pyc']) {
      await writeFile(join(app, path), path);
    }
    await writeFile(join(root, 'outside'), '');
    await symlink(join(root, 'outside'), join(app, 'link'));
    const named = trainerFileDigests(app, {
      command: ['run', 'train.py', './lib/a.py', 'link', '../outside', join(root, 'outside'), '-c', 'lib'],
      files: [],
    });
    expect(Object.keys(named)).toEqual(['lib/a.py', 'train.py']);
    expect(named['train.py']).toMatch(/^sha256:[0-9a-f]{64}$/);
    const all = trainerFileDigests(app, { command: ['./run'], files: ['lib'] });
    expect(Object.keys(all)).toEqual(['lib/a.py', 'lib/sub/b.py', 'run']);
    for (const path of ['missing', 'link']) {
      expect(() => trainerFileDigests(app, { command: ['x'], files: [path] })).toThrow(/no file or folder/);
    }
  });
});
