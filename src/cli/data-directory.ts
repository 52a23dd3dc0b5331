import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PlatformError } from '../contract/index.ts';
import { isAlive, type ProcessIdentity, processStart } from './process-identity.ts';

/** Verbs that hold a data directory while they run: one at a time. */
type HoldingVerb = 'dev' | 'up';

/** What `tandem dev` or `tandem up` writes into its data directory, so that other verbs find it. */
export interface DevRecord extends ProcessIdentity {
  readonly verb: HoldingVerb;
  /** `null` while it is starting, and always of `tandem up`, which has many. */
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
export async function claimDataDirectory(path: string, verb: HoldingVerb = 'dev'): Promise<DataDirectory> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  const mine: DevRecord = {
    verb,
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
    const starting = holder.verb === 'dev' ? ', still starting' : '';
    const where = holder.url === null ? starting : `, at ${holder.url}`;
    throw new PlatformError(
      'CONFLICT',
      `'tandem ${holder.verb}' runs on this data directory already: process ${String(holder.pid)}${where}. ` +
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

/** The `tandem dev` or `tandem up` that holds the directory now; `undefined` when there is none. */
export async function findDev(path: string): Promise<DevRecord | undefined> {
  const record = await readRecord(join(path, FILE));
  return record !== undefined && (await isAlive(record)) ? record : undefined;
}

async function readRecord(file: string): Promise<DevRecord | undefined> {
  try {
    const { verb, pid, started, url, app } = JSON.parse(await readFile(file, 'utf8')) as Partial<DevRecord>;
    if (typeof pid !== 'number' || typeof started !== 'string') return undefined;
    return { verb: verb ?? 'dev', pid, started, url: url ?? null, app: app ?? null };
  } catch {
    // Missing, or not ours: a half-written one cannot be, because it appears under its name all at once.
    return undefined;
  }
}
