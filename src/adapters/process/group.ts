import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where a command finds its home, in its folder. */
export const HOME_FOLDER = 'home';

/** Fields of `/proc/PID/stat` after the name, which may hold anything: state is field 0 there. */
const GROUP_FIELD = 2;
const SESSION_FIELD = 3;
const CHILD_USER_FIELD = 13;
const CHILD_SYSTEM_FIELD = 14;
const START_FIELD = 19;
/** Ticks of processor time in a second, in the numbers that Linux shows. */
const TICKS_PER_SECOND = 100;

/**
 * The processes of a command: those of its process group and of its session, and on Linux also those that made a session
 * of their own, which are known by a text in their environment that they inherited.
 */
export class ProcessGroup {
  readonly #leader: number;
  readonly #mark: string;
  /** Processes of others, with their start: a process that is not ours never becomes ours. */
  #strangers = new Set<string>();

  /** `leader`: 0 when it is not known. `mark`: a text that only the environment of the command has. */
  constructor(leader: number, mark: string) {
    this.#leader = leader;
    this.#mark = mark;
  }

  /** Ids of the processes; empty where the system does not show them. Those that ended and wait to be asked do not count. */
  members(): number[] {
    const found: number[] = [];
    const strangers = new Set<string>();
    for (const name of listed('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      const fields = statFields(Number(name));
      if (fields === undefined || fields[0] === 'Z') continue;
      const identity = `${name} ${fields[START_FIELD] ?? ''}`;
      if (this.#isOurs(Number(name), fields, identity)) found.push(Number(name));
      else strangers.add(identity);
    }
    this.#strangers = strangers;
    return found;
  }

  /** Sends a signal to all of them. */
  signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    // To the system 0 means the caller's own group.
    if (this.#leader !== 0) send(-this.#leader, signal);
    if (process.platform === 'linux') for (const pid of this.members()) send(pid, signal);
  }

  /**
   * Memory of all of them, in bytes; 0 where the system does not show it. Pages that several share count once: the sum of
   * what each sees is looked at first, as it costs nothing, and is the answer while it is below `enough`.
   */
  memoryBytes(enough: number): number {
    const members = this.members();
    const resident = sum(members.map((pid) => kibibytes(`/proc/${String(pid)}/status`, 'VmRSS')));
    if (resident <= enough) return resident;
    const shares = members.map((pid) => kibibytes(`/proc/${String(pid)}/smaps_rollup`, 'Pss'));
    // A kernel that does not tell the shares leaves the sum.
    return shares.some((bytes) => bytes > 0) ? sum(shares) : resident;
  }

  #isOurs(pid: number, fields: readonly string[], identity: string): boolean {
    const belongsTo = [Number(fields[GROUP_FIELD]), Number(fields[SESSION_FIELD])];
    if (this.#leader !== 0 && belongsTo.includes(this.#leader)) return true;
    if (this.#strangers.has(identity)) return false;
    return text(`/proc/${String(pid)}/environ`).includes(this.#mark);
  }
}

/** The text by which the processes of the command of this folder are known. */
export function markOf(folder: string): string {
  return `HOME=${join(folder, HOME_FOLDER)}\0`;
}

/** Processor time of this process's children that have ended, and of theirs, in seconds; null where it is not shown. */
export function childrenSeconds(): number | null {
  const fields = statFields(process.pid);
  if (fields === undefined) return null;
  return (Number(fields[CHILD_USER_FIELD]) + Number(fields[CHILD_SYSTEM_FIELD])) / TICKS_PER_SECOND;
}

function statFields(pid: number): string[] | undefined {
  const stat = text(`/proc/${String(pid)}/stat`);
  const name = stat.lastIndexOf(')');
  return name < 0 ? undefined : stat.slice(name + 2).split(' ');
}

function kibibytes(path: string, name: string): number {
  const match = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text(path));
  return Number(match?.[1] ?? 0) * 1_024;
}

/** What cannot be read is of a process that has ended, or of another user. */
function text(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function listed(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // It has ended; on some systems a group whose last process has ended may not be signalled.
    if (code !== 'ESRCH' && code !== 'EPERM') throw error;
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
