import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { PlatformError } from '../../contract/errors.ts';
import type { Compute, ComputeOptions } from '../../runtime/ports/index.ts';
import { TaskQueue } from './queue.ts';
import { startHelpers } from './start-helpers.ts';
import type { StartedHelpers } from './start-helpers.ts';
import type { WorkerFailure, WorkerInput, WorkerMessage } from './task.ts';

export interface ThreadComputeOptions {
  /** The modules of the tasks by name; each exports `run(input, context)`, see {@link TaskModule}. */
  readonly tasks: ReadonlyMap<string, URL>;
  /** Tasks that run at a time, each in a thread of its own; their helpers are not counted. */
  readonly threadsMax?: number;
  /** JavaScript heap of a thread, in megabytes. Buffers of typed arrays do not count. */
  readonly heapMegabytesMax?: number;
  /** Tasks that may wait for a thread; more are refused with OVERLOADED. */
  readonly waitingMax?: number;
}

/** Defaults of {@link ThreadComputeOptions}. */
export const THREAD_DEFAULTS = { threadsMax: 1, heapMegabytesMax: 2_048, waitingMax: 100 } as const;

/**
 * How long a thread whose task is done has to end by itself, in milliseconds. It takes a few, unless the task left something running.
 * Ending it hard in that moment has, rarely and on a busy machine, ended the process (SIGTRAP and SIGSEGV inside of V8).
 */
const EXIT_MS_MAX = 1_000;

/** In the repository the sources run as they are, in the package they are compiled. */
const WORKER = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url);

/**
 * The port `Compute` on worker threads: each task runs in a fresh thread, which costs some tens of
 * milliseconds and means that it can be ended at any instruction and leaves nothing behind. A task that
 * throws, crashes or runs out of memory rejects with INTERNAL and the reason as `cause`, or with the
 * PlatformError that it threw. So it does when one of its helpers ends; they end with their task.
 */
export function threadCompute(options: ThreadComputeOptions): Compute {
  const { tasks, threadsMax, heapMegabytesMax, waitingMax } = { ...THREAD_DEFAULTS, ...options };
  const queue = new TaskQueue(threadsMax, waitingMax);
  const moduleOf = (task: string): URL => {
    const module = tasks.get(task);
    if (module === undefined) throw new PlatformError('INTERNAL', `There is no task '${task}'`);
    return module;
  };
  return {
    async run<TOutput>(task: string, input: unknown, runOptions: ComputeOptions = {}): Promise<TOutput> {
      const { helpers: wanted, signal, transfer = [] } = runOptions;
      const module = moduleOf(task);
      const helperModule = wanted === undefined ? undefined : moduleOf(wanted.task);
      await queue.enter(signal);
      let worker: Worker | undefined;
      let helpers: StartedHelpers | undefined;
      let isDone = false;
      try {
        const { promise: lost, reject: lose } = Promise.withResolvers<never>();
        if (helperModule !== undefined && wanted !== undefined) {
          const options = { name: wanted.task, count: wanted.count, heapMegabytesMax };
          helpers = startHelpers(helperModule, options, (cause) => lose(failed(task, cause)));
        }
        const workerInput: WorkerInput = { module: module.href, input, helpers: helpers?.link };
        worker = new Worker(WORKER, {
          name: task,
          workerData: workerInput,
          transferList: [...transfer, ...(helpers?.link.ports ?? [])],
          resourceLimits: { maxOldGenerationSizeMb: heapMegabytesMax },
        });
        const output = (await Promise.race([finished(worker, task, runOptions), lost])) as TOutput;
        isDone = true;
        return output;
      } finally {
        // The next task begins when this one's memory is free; the caller need not wait for that.
        void Promise.allSettled([end(worker, isDone), helpers?.stop()]).finally(() => queue.leave());
      }
    },
  };
}

/** Ends the thread; one whose task is done gets a moment to do so by itself. */
async function end(worker: Worker | undefined, isDone: boolean): Promise<void> {
  if (worker === undefined) return;
  if (isDone) {
    const exited = new AbortController();
    worker.once('exit', () => exited.abort());
    // It may have ended already.
    if (worker.threadId !== -1)
      await sleep(EXIT_MS_MAX, undefined, { signal: exited.signal }).catch(() => undefined);
  }
  await worker.terminate();
}

/** Waits for the output of the worker. */
function finished(worker: Worker, task: string, { signal, onProgress }: ComputeOptions): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal?.reason);
    const fail = (cause: unknown): void => reject(failed(task, cause));
    if (signal?.aborted === true) abort();
    signal?.addEventListener('abort', abort, { once: true });
    worker.on('message', (message: WorkerMessage) => {
      switch (message.kind) {
        case 'progress': {
          const { done, total, note } = message;
          // A report may arrive after the end was decided.
          if (signal?.aborted !== true)
            onProgress?.({ done, total, ...(note === undefined ? {} : { note }) });
          break;
        }
        case 'done':
          resolve(message.output);
          break;
        case 'failed':
          reject(errorOf(task, message.failure));
          break;
      }
    });
    worker.on('error', fail);
    worker.on('messageerror', fail);
    worker.on('exit', (code) => {
      signal?.removeEventListener('abort', abort);
      fail(new Error(`The thread ended with code ${code} before its task was done`));
    });
  });
}

function failed(task: string, cause: unknown): PlatformError {
  return new PlatformError('INTERNAL', `Task '${task}' failed; the log has the details`, { cause });
}

function errorOf(task: string, failure: WorkerFailure): PlatformError {
  const { code, details, message } = failure;
  if (code === undefined) return failed(task, rebuilt(failure));
  return new PlatformError(code, message, {
    ...(details === undefined ? {} : { details }),
    cause: rebuilt(failure),
  });
}

/** The error as it was in the thread, with the stack that it had there. */
function rebuilt(failure: WorkerFailure): Error {
  const cause = failure.cause === undefined ? undefined : rebuilt(failure.cause);
  const error = new Error(failure.message, cause === undefined ? undefined : { cause });
  error.name = failure.name;
  if (failure.stack !== undefined) error.stack = failure.stack;
  return error;
}
