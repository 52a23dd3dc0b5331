import { parentPort, workerData } from 'node:worker_threads';
import { PlatformError } from '../../contract/errors.ts';
import { HelperState, helpersOf } from './helper-link.ts';
import type { TaskContext, TaskModule, WorkerFailure, WorkerInput, WorkerMessage } from './task.ts';

/** Least time between two reports of progress, in milliseconds. */
const PROGRESS_MS = 50;
/** Longest chain of causes that is passed on. */
const CAUSES_MAX = 8;

const port = parentPort;
if (port === null) throw new Error('This module runs in a worker thread');

const post = (message: WorkerMessage): void => port.postMessage(message);
const { module, input, helpers } = workerData as WorkerInput;

try {
  const task = (await import(module)) as Partial<TaskModule>;
  if (typeof task.run !== 'function')
    throw new TypeError(`The task module ${module} exports no function 'run'`);
  const output: unknown = await task.run(input, context());
  post({ kind: 'done', output });
} catch (error) {
  post({ kind: 'failed', failure: failureOf(error) });
}

function context(): TaskContext {
  let reportedMs = Number.NEGATIVE_INFINITY;
  const state = helpers === undefined ? undefined : new HelperState(helpers.state);
  return {
    progress(done, total, note) {
      const nowMs = performance.now();
      if (done < total && nowMs - reportedMs < PROGRESS_MS) return;
      reportedMs = nowMs;
      post({ kind: 'progress', done, total, note });
    },
    cpuSeconds() {
      const { user, system } = process.threadCpuUsage();
      return (user + system + (state?.cpuMicroseconds() ?? 0)) / 1e6;
    },
    wallSeconds: () => performance.now() / 1_000,
    helpers: helpers === undefined || state === undefined ? undefined : helpersOf(helpers, state),
  };
}

function failureOf(error: unknown, depth = 0): WorkerFailure {
  const known = PlatformError.is(error) ? error : undefined;
  const { name, message, stack, cause } =
    error instanceof Error
      ? error
      : { name: 'Error', message: String(error), stack: undefined, cause: undefined };
  return {
    name,
    message,
    stack,
    code: known?.code,
    details: known?.details,
    cause: cause === undefined || depth === CAUSES_MAX ? undefined : failureOf(cause, depth + 1),
  };
}
