import { execFile } from 'node:child_process';
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PlatformError } from '../contract/index.ts';

/** What `tandem dev` writes into its data directory, so that other verbs find it. */
export interface DevRecord {
  readonly pid: number;
  /** When that process started, as the operating system says it: process ids are used again. */
  readonly started: string;
  /** `null` while it is starting. */
  readonly url: string | null;
  readonly app: string | null;
}

/** The right to use a data directory, held by this process. */
export interface DataDirectory extends AsyncDisposable {
  readonly path: string;
  /** Tells other verbs where the server is. */
  publish(url: string, app: string): Promise<void>;
}

const FILE = 'dev.json';
/** Times to try again when another process takes or leaves the directory at the same moment. */
const ATTEMPTS_MAX = 5;

/**
 * Takes the directory for this process; makes it when it is missing. Rejects with CONFLICT when another one
 * has it.
 */
export async function claimDataDirectory(path: string): Promise<DataDirectory> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  const mine: DevRecord = {
    pid: process.pid,
    started: (await processStart(process.pid)) ?? '',
    url: null,
    app: null,
  };
  const file = join(path, FILE);
  const draft = join(path, `.dev-${String(process.pid)}.json`);
  const write = (record: DevRecord): Promise<void> =>
    writeFile(draft, `${JSON.stringify(record)}\n`, { mode: 0o600 });
  try {
    for (let attempt = 1; !(await tryClaim(file, draft, () => write(mine))); attempt += 1) {
      if (attempt === ATTEMPTS_MAX)
        throw new PlatformError('CONFLICT', `Another process is taking ${path}; try again`);
    }
  } finally {
    await rm(draft, { force: true });
  }
  return {
    path,
    async publish(url, app) {
      await write({ ...mine, url, app });
      await rename(draft, file);
    },
    [Symbol.asyncDispose]: () => rm(file, { force: true }),
  };
}

/**
 * Links the draft to its final name, which fails when the name is taken; a name left by a dead process is
 * freed.
 */
async function tryClaim(file: string, draft: string, write: () => Promise<void>): Promise<boolean> {
  await write();
  try {
    await link(draft, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const holder = await readRecord(file);
  if (holder !== undefined && (await isAlive(holder))) {
    const where = holder.url === null ? 'still starting' : `at ${holder.url}`;
    throw new PlatformError(
      'CONFLICT',
      `'tandem dev' runs on this data directory already: process ${String(holder.pid)}, ${where}. ` +
        'Use it, stop it, or choose another --data-dir.',
      { details: { pid: holder.pid, url: holder.url } },
    );
  }
  // Moving is atomic: of two processes that see the same dead holder, one moves it and the other finds
  // nothing.
  const grave = `${draft}.dead`;
  await rename(file, grave).catch(ignoreMissing);
  const moved = await readRecord(grave);
  // Between the look and the move somebody may have taken the directory: give it back.
  if (moved !== undefined && (await isAlive(moved))) await link(grave, file).catch(() => undefined);
  await rm(grave, { force: true });
  return false;
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}

/** The `tandem dev` that holds the directory now; `undefined` when there is none. */
export async function findDev(path: string): Promise<DevRecord | undefined> {
  const record = await readRecord(join(path, FILE));
  return record !== undefined && (await isAlive(record)) ? record : undefined;
}

async function readRecord(file: string): Promise<DevRecord | undefined> {
  try {
    const { pid, started, url, app } = JSON.parse(await readFile(file, 'utf8')) as Partial<DevRecord>;
    if (typeof pid !== 'number' || typeof started !== 'string') return undefined;
    return { pid, started, url: url ?? null, app: app ?? null };
  } catch {
    // Missing, or not ours: a half-written one cannot be, because it appears under its name all at once.
    return undefined;
  }
}

async function isAlive({ pid, started }: DevRecord): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  const now = await processStart(pid);
  // Where the system does not say, a living process of that id must be taken for the one.
  return now === undefined || started === '' || now === started;
}

/**
 * When a process started, in whatever form the operating system has for it; equal texts mean the same
 * process.
 */
async function processStart(pid: number): Promise<string | undefined> {
  if (process.platform === 'linux') {
    try {
      const [boot, stat] = await Promise.all([
        readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
        readFile(`/proc/${String(pid)}/stat`, 'utf8'),
      ]);
      // The name in parentheses may hold anything; field 22 counts from the start of the line.
      const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
      return `${boot.trim()}:${ticks ?? ''}`;
    } catch {
      return undefined;
    }
  }
  if (process.platform === 'win32') return undefined;
  try {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'lstart=', '-p', String(pid)]);
    return stdout.trim();
  } catch {
    return undefined;
  }
}
