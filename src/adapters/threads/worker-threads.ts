import { Worker } from 'node:worker_threads';
import { PlatformError } from '../../contract/errors.ts';
import type { ThreadEndReason, Threads } from '../../runtime/ports/index.ts';
import type { ModuleInput } from './thread-worker.ts';

/** In the repository the sources run as they are, in the package they are compiled. */
const WORKER = new URL(
  import.meta.url.endsWith('.ts') ? './thread-worker.ts' : './thread-worker.js',
  import.meta.url,
);

/** The port `Threads` on worker threads. `modules`: by name, each exports `start(input, context)`. */
export function workerThreads(modules: ReadonlyMap<string, URL>): Threads {
  return {
    start(name, { input, onMessage, onEnd }) {
      const module = modules.get(name);
      if (module === undefined)
        throw new PlatformError('INTERNAL', `There is no module '${name}' for a thread`);
      const workerData: ModuleInput = { module: module.href, input };
      const worker = new Worker(WORKER, { name, workerData });
      let isOver = false;
      const end = (reason: ThreadEndReason, error: unknown): void => {
        if (isOver) return;
        isOver = true;
        onEnd({ reason, error });
      };
      worker.on('message', (message: unknown) => {
        if (!isOver) onMessage(message);
      });
      worker.on('messageerror', (error) => end('THREAD_THREW', error));
      worker.on('error', (error) => {
        const { code } = error as NodeJS.ErrnoException;
        end(code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'THREAD_OUT_OF_MEMORY' : 'THREAD_THREW', error);
      });
      worker.on('exit', (code) =>
        end('THREAD_EXITED', new Error(`The thread ended with code ${String(code)}`)),
      );
      return {
        post(message, transfer = []) {
          if (!isOver) worker.postMessage(message, transfer);
        },
        async stop() {
          isOver = true;
          await worker.terminate();
        },
      };
    },
  };
}
