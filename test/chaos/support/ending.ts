import { readdirSync, readFileSync } from 'node:fs';

/** Every process that a run starts, and whatever that one starts, has this variable, with a value of the run's own. */
const MARK = 'CHAOS_RUN';
/** How long an orderly end may take before what is left is ended with SIGKILL, in milliseconds. */
const END_MS_MAX = 60_000;
/** Looks for processes that were just started. */
const ROUNDS_MAX = 50;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

// One process has one end: this is state of the process, like the handlers of its signals.
const works = new Set<() => Promise<unknown>>();
let mark: string | undefined;
let ending: Promise<void> | undefined;

/**
 * Has `work` done when this process is told to end before the scope is left. Work may find that it was begun already by the
 * scope itself, and must then wait for that.
 */
export function atEnd(work: () => Promise<unknown>): Disposable {
  if (works.size === 0) for (const name of SIGNALS) process.on(name, onSignal);
  works.add(work);
  return {
    [Symbol.dispose]() {
      works.delete(work);
      if (works.size === 0) for (const name of SIGNALS) process.off(name, onSignal);
    },
  };
}

/** Does everything that is left to do at the end, the last first. Never rejects; calling it again waits for the same end. */
export function endEverything(): Promise<void> {
  return (ending ??= end());
}

async function end(): Promise<void> {
  const late = setTimeout(() => {
    console.error(`chaos: the end took longer than ${String(END_MS_MAX)} ms`);
    process.exit(1);
  }, END_MS_MAX);
  for (const work of [...works].reverse()) {
    await work().catch((error: unknown) => console.error('chaos: an end failed:', error));
  }
  clearTimeout(late);
}

/** One wish can arrive more than once, by way of npm and from whatever started that. */
function onSignal(name: NodeJS.Signals): void {
  if (ending !== undefined) return;
  console.error(`chaos: ${name}: stopping everything`);
  void endEverything().then(() => process.exit(1));
}

/**
 * From now on nothing that this process starts outlives it, however it ends but for SIGKILL: what is to be done at the end
 * is done, and processes that then still run are ended. Where the system does not tell the environment of processes (that
 * is, not on Linux) the latter is left out.
 */
export function endWithEverything(): void {
  mark = `${String(process.pid)}-${String(Date.now())}`;
  process.env[MARK] = mark;
  // Held to the end, so that the signals are always heard.
  atEnd(() => Promise.resolve());
  process.on('exit', endProcesses);
  process.on('uncaughtException', (error) => {
    console.error(error);
    void endEverything().then(() => process.exit(1));
  });
}

/** Ends every process that the run started and that still runs, after {@link endWithEverything}, with SIGKILL. */
export function endProcesses(): void {
  // Again and again: what is ended may just have started another one.
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const pids = markedProcesses();
    if (pids.length === 0) return;
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has just ended.
      }
    }
  }
}

/** Processes but this one that have the mark in their environment. */
function markedProcesses(): number[] {
  if (process.platform !== 'linux' || mark === undefined) return [];
  const entry = `${MARK}=${mark}`;
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return [];
    try {
      // It is empty of a process that has ended and is only not waited for.
      return readFileSync(`/proc/${name}/environ`, 'utf8').split('\0').includes(entry) ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}
