import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The process and all its descendants, as far as each still has a living line of parents up to it. */
export async function processTree(root: number): Promise<number[]> {
  const children = new Map<number, number[]>();
  for (const { pid, parent } of await parents()) {
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [pid]);
    else siblings.push(pid);
  }
  const tree = [root];
  for (const pid of tree) tree.push(...(children.get(pid) ?? []));
  return tree;
}

/** Ends the process and all its descendants with SIGKILL and waits until none of them runs. */
export async function killTree(root: number): Promise<void> {
  const doomed = new Set(await processTree(root));
  // Listed before the first dies, since children of a dead process lose their place in the tree.
  for (const pid of doomed) kill(pid);
  for (let waited = 0; waited < 10_000; waited += 10) {
    // What was forked while the list was made has a parent of the list, or is found below one that still
    // dies.
    for (const { pid, parent } of await parents()) {
      if (doomed.has(parent) && !doomed.has(pid) && pid !== process.pid) {
        doomed.add(pid);
        kill(pid);
      }
    }
    const running = await Promise.all([...doomed].map((pid) => isRunning(pid)));
    if (!running.includes(true)) return;
    await sleep(10);
  }
  throw new Error(`Processes ${[...doomed].join(', ')} did not end after SIGKILL`);
}

/**
 * Memory of the process and its descendants: the sum of resident sets in bytes, or null where /proc is
 * absent.
 */
export async function treeRssBytes(root: number): Promise<number | null> {
  if (process.platform !== 'linux') return null;
  const sizes = await Promise.all((await processTree(root)).map((pid) => rssBytes(pid)));
  return sizes.reduce((total, size) => total + size, 0);
}

async function rssBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${String(pid)}/status`, 'utf8').catch(() => '');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1_024;
}

interface Parentage {
  readonly pid: number;
  readonly parent: number;
}

async function parents(): Promise<Parentage[]> {
  if (process.platform !== 'linux') {
    const { stdout } = await run('ps', ['-axo', 'pid=,ppid=']);
    return stdout
      .trim()
      .split('\n')
      .map((line) => {
        const [pid = '', parent = ''] = line.trim().split(/\s+/);
        return { pid: Number(pid), parent: Number(parent) };
      });
  }
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    names.map(async (name) => ({ pid: Number(name), parent: (await statOf(Number(name)))?.parent ?? -1 })),
  );
  return found.filter(({ parent }) => parent >= 0);
}

async function isRunning(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  // A zombie has ended; only its parent has not asked yet.
  return process.platform !== 'linux' || ((await statOf(pid))?.state ?? 'Z') !== 'Z';
}

async function statOf(pid: number): Promise<{ state: string; parent: number } | undefined> {
  const text = await readFile(`/proc/${String(pid)}/stat`, 'utf8').catch(() => undefined);
  // The second field is the name in parentheses and may itself hold spaces and parentheses.
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields === undefined ? undefined : { state: fields[0] ?? 'Z', parent: Number(fields[1]) };
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
