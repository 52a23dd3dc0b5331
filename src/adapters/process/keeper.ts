import { spawn } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { diskBytes } from './disk-use.ts';
import { childrenSeconds, markOf, ProcessGroup } from './group.ts';
import { limitedCommand } from './memory-limit.ts';
import type { KeeperOrder, KeeperReport, KeeperStop } from './orders.ts';

// A process between the one that wants a command and the command: it outlives a kill -9 of the former and then ends the
// latter, which nobody else could.

/** Rounds in which processes that make others are killed, and the pause between two, in milliseconds. */
const KILL_ROUNDS_MAX = 100;
const KILL_PAUSE_MS = 20;
const DISK_LOOK_EVERY = 5;

type Stop = NonNullable<KeeperStop['end']>;

const order = JSON.parse(process.argv[2] ?? '{}') as KeeperOrder;
const { command, limit } = limitedCommand(order);
let stopped: Stop | undefined;
let isForced = false;

giveWay();
const child = spawn(command[0] ?? '', command.slice(1), {
  cwd: order.folder,
  env: order.environment,
  // A process group of its own, which can be ended as a whole; and no terminal that could interrupt it.
  detached: true,
  stdio: ['ignore', 'inherit', 'inherit'],
});
const group = new ProcessGroup(child.pid ?? 0, markOf(order.folder));
child.once('error', (error) => report({ failure: error.message }));
child.once('exit', (code, signal) => void finish(code, signal));
process.on('message', ({ end }: KeeperStop) => stop(end));
process.once('disconnect', abandon);
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, abandon);
setTimeout(() => {
  stop({ kind: 'limit', limit: 'time', text: `it ran for longer than ${String(order.timeoutMs)} ms` });
}, order.timeoutMs);
if (child.pid !== undefined) {
  giveWay(child.pid);
  watch();
}

/** Asks the command to end, and ends it when it does not. */
function stop(why: Stop | undefined): void {
  stopped ??= why;
  if (isForced) return;
  isForced = true;
  group.signal('SIGTERM');
  setTimeout(() => group.signal('SIGKILL'), order.graceMs);
}

/** Ends at once what goes beyond what the machine has. */
function kill(why: Stop): void {
  stopped ??= why;
  isForced = true;
  group.signal('SIGKILL');
}

function watch(): void {
  let looks = 0;
  setInterval(() => {
    looks += 1;
    const memory = group.memoryBytes(order.memoryBytesMax);
    if (memory > order.memoryBytesMax) {
      const text = `its processes took ${mebibytes(memory)} of memory, more than ${mebibytes(order.memoryBytesMax)}`;
      kill({ kind: 'limit', limit: 'memory', text });
    }
    if (looks % DISK_LOOK_EVERY !== 0) return;
    const disk = diskBytes(order.folder, order.diskBytesMax);
    if (disk <= order.diskBytesMax) return;
    const text = `its folder took more than ${mebibytes(order.diskBytesMax)} of disk`;
    kill({ kind: 'limit', limit: 'disk', text });
  }, order.watchMs);
}

/** The command has ended: so do the processes that it left. */
async function finish(code: number | null, signal: string | null): Promise<void> {
  await killAll();
  const own: Stop = code === null ? { kind: 'signal', signal: signal ?? 'unknown' } : { kind: 'exit', code };
  report({ end: stopped ?? own, cpuSeconds: childrenSeconds(), memoryLimit: limit });
}

async function killAll(): Promise<void> {
  group.signal('SIGKILL');
  for (let round = 0; round < KILL_ROUNDS_MAX && group.members().length > 0; round += 1) {
    await new Promise((resolve) => setTimeout(resolve, KILL_PAUSE_MS));
    group.signal('SIGKILL');
  }
}

function report(said: KeeperReport): void {
  if (!process.connected) return;
  process.send?.(said, () => {
    process.off('disconnect', abandon);
    process.exit(0);
  });
}

/** Nobody waits for the command any more. */
function abandon(): void {
  void killAll().finally(() => {
    rmSync(order.folder, { recursive: true, force: true });
    process.exit(1);
  });
}

/** Training is work that nobody waits for at this very moment. */
function giveWay(pid?: number): void {
  try {
    if (pid === undefined) setPriority(order.niceness);
    // Where the processor is shared among sessions first, it is the session that gives way.
    else writeFileSync(`/proc/${String(pid)}/autogroup`, String(order.niceness));
  } catch {
    // Without it the command is as fast as any other.
  }
}

function mebibytes(bytes: number): string {
  return `${String(Math.ceil(bytes / 1_048_576))} MiB`;
}
