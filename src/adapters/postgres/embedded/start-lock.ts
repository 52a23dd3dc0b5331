import { randomBytes } from 'node:crypto';
import { link, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PlatformError } from '../../../contract/errors.ts';
import { startedAt } from './processes.ts';

const POLL_MS = 50;
/** How long to wait for another process that is starting the same server. */
const WAIT_MS_MAX = 120_000;

/**
 * Runs `work` while no other process of this machine does so for the same directory. A holder that died is
 * replaced.
 *
 * The lock is the file with the highest number among `start.lock.N`. Taking it is making the file of the next
 * number, which the file system lets only one process do; nobody ever has to remove somebody else's current
 * lock, so two processes that find a dead holder at the same time cannot both win.
 */
export async function withStartLock<TResult>(
  directory: string,
  work: () => Promise<TResult>,
): Promise<TResult> {
  const held = await acquire(directory);
  try {
    return await work();
  } finally {
    await release(directory, held);
  }
}

async function acquire(directory: string): Promise<number> {
  const me = `${process.pid} ${(await startedAt(process.pid)) ?? ''} ${randomBytes(6).toString('hex')}`;
  const own = join(directory, `start.claim.${process.pid}.${randomBytes(4).toString('hex')}`);
  const deadline = performance.now() + WAIT_MS_MAX;
  await writeFile(own, me, { mode: 0o600 });
  try {
    for (;;) {
      const newest = await newestLock(directory);
      if ((newest === 0 || !(await isHeld(directory, newest))) && (await take(directory, own, newest + 1))) {
        return newest + 1;
      }
      if (performance.now() > deadline) {
        throw new PlatformError(
          'UNAVAILABLE',
          `Another process holds ${lockPath(directory, newest)} for too long`,
        );
      }
      await sleep(POLL_MS);
    }
  } finally {
    await rm(own, { force: true });
  }
}

async function take(directory: string, own: string, number: number): Promise<boolean> {
  try {
    await link(own, lockPath(directory, number));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
  // A late process may make a number that was used and cleaned up meanwhile; a higher one then exists.
  if ((await newestLock(directory)) === number) {
    for (const older of await lockNumbers(directory)) {
      if (older < number) await rm(lockPath(directory, older), { force: true });
    }
    return true;
  }
  await rm(lockPath(directory, number), { force: true });
  return false;
}

async function release(directory: string, number: number): Promise<void> {
  // The file stays, emptied in one step, so that the next number keeps rising.
  const empty = join(directory, `start.claim.${process.pid}.${randomBytes(4).toString('hex')}`);
  await writeFile(empty, '', { mode: 0o600 });
  await rename(empty, lockPath(directory, number));
}

async function isHeld(directory: string, number: number): Promise<boolean> {
  const text = await readFile(lockPath(directory, number), 'utf8').catch(() => '');
  const [pid, started] = text.split(' ');
  if (pid === undefined || pid === '') return false;
  return (await startedAt(Number(pid))) === started;
}

async function lockNumbers(directory: string): Promise<number[]> {
  return (await readdir(directory)).flatMap((name) => {
    const match = /^start\.lock\.(\d+)$/.exec(name);
    return match === null ? [] : [Number(match[1])];
  });
}

async function newestLock(directory: string): Promise<number> {
  return Math.max(0, ...(await lockNumbers(directory)));
}

function lockPath(directory: string, number: number): string {
  return join(directory, `start.lock.${number}`);
}
