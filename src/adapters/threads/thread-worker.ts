import { parentPort, workerData } from 'node:worker_threads';
import type { ThreadContext, ThreadModule } from '../../runtime/ports/index.ts';

/** What the worker is started with. */
export interface ModuleInput {
  readonly module: string;
  readonly input: unknown;
}

const port = parentPort;
if (port === null) throw new Error('This module runs in a worker thread');

const { module, input } = workerData as ModuleInput;
const context: ThreadContext = {
  post: (message, transfer = []) => port.postMessage(message, transfer),
  turn: () =>
    new Promise((resolve) => {
      setImmediate(resolve);
    }),
};
const { start } = (await import(module)) as Partial<ThreadModule>;
if (typeof start !== 'function')
  throw new TypeError(`The module ${module} of a thread exports no function 'start'`);
const take = start(input, context);
port.on('message', (message: unknown) => {
  // A rejection is nobody's: it ends the thread, and its owner is told why.
  void take(message);
});
