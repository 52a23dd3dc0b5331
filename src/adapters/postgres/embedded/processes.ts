import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const onLinux = process.platform === 'linux';

interface ProcessEntry {
  readonly pid: number;
  readonly commandLine: string;
}

/** Whether the process exists and still runs; a zombie that nobody has waited for does not run. */
export async function isRunning(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return (await processState(pid))?.zombie === false;
}

/**
 * When the process started, as an opaque text that together with the pid names a process for good, since pids
 * are used again. `undefined` when there is no such process.
 */
export async function startedAt(pid: number): Promise<string | undefined> {
  return (await processState(pid))?.started;
}

async function processState(pid: number): Promise<{ zombie: boolean; started: string } | undefined> {
  if (!onLinux) {
    const lines = await processList(['-p', String(pid), '-o', 'stat=,lstart=']);
    const [, state, started] = /^(\S+)\s+(.*)$/.exec(lines[0]?.trim() ?? '') ?? [];
    return state === undefined || started === undefined
      ? undefined
      : { zombie: state.startsWith('Z'), started };
  }
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  // The second field is the name in parentheses and may itself hold spaces and parentheses.
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields === undefined ? undefined : { zombie: fields[0] === 'Z', started: fields[19] ?? '' };
}

/** The command line of a process with spaces between the arguments; empty when there is no such process. */
export async function commandLine(pid: number): Promise<string> {
  if (!onLinux) return ((await processList(['-p', String(pid), '-ww', '-o', 'command=']))[0] ?? '').trim();
  const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return text.replaceAll('\0', ' ').trim();
}

/** All running processes whose command line contains `part`. */
export async function processesWith(part: string): Promise<ProcessEntry[]> {
  const found: ProcessEntry[] = [];
  if (onLinux) {
    for (const name of await readdir('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      const line = await commandLine(Number(name));
      if (line.includes(part) && (await isRunning(Number(name))))
        found.push({ pid: Number(name), commandLine: line });
    }
    return found;
  }
  for (const line of await processList(['-ax', '-ww', '-o', 'pid=,command='])) {
    const match = /^\s*(\d+)\s+(.*)$/.exec(line);
    if (match?.[2]?.includes(part)) found.push({ pid: Number(match[1]), commandLine: match[2] });
  }
  return found;
}

async function processList(columns: readonly string[]): Promise<string[]> {
  const { stdout } = await run('ps', columns, {
    env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C' },
  }).catch(() => ({
    stdout: '',
  }));
  return stdout.split('\n').filter((line) => line !== '');
}

/** Sends a signal; a process that is gone already is no error. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
