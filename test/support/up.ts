import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { removeEmbedded } from '../../src/adapters/postgres/index.ts';
import { livingProcesses, type ProcessRecord, readState } from '../../src/cli/supervisor/state-file.ts';
import { ROOT } from '../tidy/tree.ts';

const COMMAND = ['--conditions=tandem-source', join(ROOT, 'src/cli/main.ts')];

/** `tandem up` as a user runs it, in a folder of a test's own. */
export interface RunningUp extends AsyncDisposable {
  readonly dataDir: string;
  /** Address of the gateway. */
  readonly url: string;
  readonly processes: readonly ProcessRecord[];
}

export interface UpOptions {
  readonly parameters?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

/** Starts it with the fraud example; resolves when every process is ready. */
export async function startUp({ parameters = [], environment = {} }: UpOptions = {}): Promise<RunningUp> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tandem-up-'));
  const app = join(ROOT, 'examples/fraud/app.ts');
  const given = ['up', '--app', app, '--data-dir', dataDir, '--port', '0', '--json', ...parameters];
  const child = spawn(process.execPath, [...COMMAND, ...given], {
    cwd: ROOT,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const end = async (): Promise<void> => {
    child.kill('SIGTERM');
    await ended(child);
    const state = await readState(dataDir);
    for (const { pid } of state === undefined ? [] : await livingProcesses(state))
      process.kill(pid, 'SIGKILL');
    await removeEmbedded(join(dataDir, 'postgres'));
    await rm(dataDir, { recursive: true, force: true });
  };
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => (log = `${log}${chunk.toString()}`.slice(-8_000)));
  try {
    const said = await new Promise<{ readonly url: string; readonly processes: readonly ProcessRecord[] }>(
      (resolve, reject) => {
        createInterface({ input: child.stdout }).once('line', (line) => resolve(JSON.parse(line)));
        child.once('exit', (code) => reject(new Error(`ended with ${String(code)}:\n${log}`)));
      },
    );
    return {
      dataDir,
      url: said.url.replace(/\/$/, ''),
      processes: said.processes,
      [Symbol.asyncDispose]: end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/** A verb of the command line, with its exit code and what it wrote. */
export function tandem(
  parameters: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...COMMAND, ...parameters], {
      cwd: ROOT,
      env: { ...process.env, ...environment },
      stdio: 'pipe',
    });
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    child.once('close', (code) => resolve({ code, out, err }));
  });
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  await new Promise((resolve) => child.once('exit', resolve));
}
