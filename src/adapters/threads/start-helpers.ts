import { MessageChannel, Worker } from 'node:worker_threads';
import { HelperState } from './helper-link.ts';
import type { HelperInput, HelperLink } from './task.ts';

/** In the repository the sources run as they are, in the package they are compiled. */
const WORKER = new URL(
  import.meta.url.endsWith('.ts') ? './helper-worker.ts' : './helper-worker.js',
  import.meta.url,
);

/** Threads that help one task. */
export interface StartedHelpers {
  /** For the task's thread, which must be handed the ports. */
  readonly link: HelperLink;
  /** Ends them at whatever they do; resolves when their memory is free. */
  stop(): Promise<unknown>;
}

/**
 * Starts threads that do what a task asks of them. They take its orders past this thread, so that the task need not wait for it; but a
 * thread that ends is seen here alone, and `onLost` is called and the task told.
 */
export function startHelpers(
  module: URL,
  options: { readonly name: string; readonly count: number; readonly heapMegabytesMax: number },
  onLost: (cause: unknown) => void,
): StartedHelpers {
  const { name, count, heapMegabytesMax } = options;
  const state = new SharedArrayBuffer(HelperState.bytesFor(count));
  const shared = new HelperState(state);
  const channels = Array.from({ length: count }, () => new MessageChannel());
  let isOver = false;
  const lose = (cause: unknown): void => {
    if (isOver) return;
    shared.lose();
    onLost(cause);
  };
  const workers = channels.map(({ port2: port }, index) => {
    const workerData: HelperInput = { module: module.href, index, port, state };
    const worker = new Worker(WORKER, {
      name,
      workerData,
      transferList: [port],
      resourceLimits: { maxOldGenerationSizeMb: heapMegabytesMax },
    });
    worker.on('error', lose);
    worker.on('exit', (code) => lose(new Error(`A thread that helps ended with code ${code}`)));
    return worker;
  });
  return {
    link: { ports: channels.map(({ port1 }) => port1), state },
    stop() {
      isOver = true;
      return Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}
