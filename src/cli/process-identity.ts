import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

/** A process for good: ids are used again, but not by two processes that started at one moment. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it started, as the operating system says it; empty where it does not. */
  readonly started: string;
}

/** Whether that very process runs. One that has ended and was not waited for by its parent does not. */
export async function isAlive({ pid, started }: ProcessIdentity): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  if (process.platform === 'linux' && (await linuxStat(pid))?.[0] === 'Z') return false;
  const now = await processStart(pid);
  // Where the system does not say, a living process of that id must be taken for the one.
  return now === undefined || started === '' || now === started;
}

/**
 * When a process started, in whatever form the operating system has for it; equal texts mean the same
 * process.
 */
export async function processStart(pid: number): Promise<string | undefined> {
  if (process.platform === 'win32') return undefined;
  try {
    if (process.platform === 'linux') {
      const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
      const fields = await linuxStat(pid);
      // Field 22 of the line.
      return fields === undefined ? undefined : `${boot.trim()}:${fields[19] ?? ''}`;
    }
    const { stdout } = await promisify(execFile)('ps', ['-o', 'lstart=', '-p', String(pid)]);
    return stdout.trim();
  } catch {
    return undefined;
  }
}

/** Fields of /proc/PID/stat from the third on: the second is a name in parentheses that may hold anything. */
async function linuxStat(pid: number): Promise<readonly string[] | undefined> {
  const text = await readFile(`/proc/${String(pid)}/stat`, 'utf8').catch(() => undefined);
  return text?.slice(text.lastIndexOf(')') + 2).split(' ');
}

/** Sends a signal to a process, or with a negative id to its group; one that is gone already is no error. */
export function sendSignal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
