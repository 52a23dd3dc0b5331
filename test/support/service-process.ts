import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { ROOT } from '../tidy/tree.ts';
import { bearer } from './access.ts';

const MAIN = ['--conditions=tandem-source', join(ROOT, 'src/cli/main.ts')];

/** What a request shows of its sender. */
export type Headers = Readonly<Record<string, string>>;

/** One service in a process of its own. */
export interface ServiceProcess {
  readonly url: string;
  readonly child: ChildProcess;
}

export interface ServiceProcessOptions {
  readonly service: string;
  /** Its name, which a restart keeps. */
  readonly replica: string;
  /** Path of the app below the repository's root. */
  readonly app: string;
  readonly dataDir: string;
  readonly databaseUrl: string;
  /** As `--set` takes it. */
  readonly settings?: readonly string[];
}

/** Starts `tandem run <service>`; resolves when it has an address, which may be before it is ready. */
export async function startService(options: ServiceProcessOptions): Promise<ServiceProcess> {
  const { service, replica, app, dataDir, databaseUrl, settings = [] } = options;
  const parameters = ['run', service, '--app', join(ROOT, app), '--data-dir', dataDir, '--json'];
  const set = settings.flatMap((setting) => ['--set', setting]);
  const child = spawn(process.execPath, [...MAIN, ...parameters, ...set], {
    cwd: ROOT,
    env: { ...process.env, DATABASE_URL: databaseUrl, TANDEM_REPLICA: replica },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', (line) => {
      resolve((JSON.parse(line) as { url: string }).url.replace(/\/$/, ''));
    });
    child.once('exit', (code) => reject(new Error(`${service} ended with ${String(code)}`)));
  });
  return { url, child };
}

/** The first key, made where there is no supervisor to make one. */
export async function makeKey(databaseUrl: string): Promise<Headers> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [...MAIN, 'keys', 'create', 'test', '--role', 'admin', '--direct'],
    { cwd: ROOT, env: { ...process.env, DATABASE_URL: databaseUrl } },
  );
  return bearer(stdout.trim());
}

/** Resolves when the process has ended. */
export function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else child.once('exit', () => resolve());
  });
}
