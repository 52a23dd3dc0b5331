/** The wish that this process ends, by Ctrl-C or a signal. */
export interface Interrupt extends Disposable {
  readonly signal: AbortSignal;
  /** Resolves when somebody wishes it. */
  readonly wished: Promise<void>;
}

/**
 * One Ctrl-C can arrive more than once, from the terminal and from whatever started us, within this time in
 * milliseconds.
 */
const ECHO_MS = 300;
/** Exit code of a process that was ended by Ctrl-C. */
const INTERRUPTED = 130;

/**
 * Listens for SIGINT, SIGTERM and SIGHUP. The first asks the process to stop; the second, or `graceMs` after
 * the first, ends it at once: everything that was acknowledged is on disk, so that this is only impolite.
 */
export function listenForInterrupt(graceMs: number, note: (text: string) => void): Interrupt {
  const controller = new AbortController();
  const { promise, resolve } = Promise.withResolvers<void>();
  let timer: NodeJS.Timeout | undefined;
  let first = 0;
  const onSignal = (): void => {
    if (controller.signal.aborted) {
      if (performance.now() - first > ECHO_MS) process.exit(INTERRUPTED);
      return;
    }
    first = performance.now();
    controller.abort();
    timer = setTimeout(() => {
      note(`It did not stop within ${String(graceMs)} ms: ending it`);
      process.exit(1);
    }, graceMs);
    timer.unref();
    resolve();
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const name of signals) process.on(name, onSignal);
  return {
    signal: controller.signal,
    wished: promise,
    [Symbol.dispose]() {
      clearTimeout(timer);
      for (const name of signals) process.off(name, onSignal);
    },
  };
}
