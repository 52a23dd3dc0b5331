import type { Clock } from '../../runtime/ports/index.ts';

/** Longest wait that one timer can hold, in milliseconds. */
const TIMER_MS_MAX = 2_147_483_647;

/** The clock of this machine. */
export function systemClock(): Clock {
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    async sleep(ms, signal) {
      // Whoever pauses for no time at all lets other work have its turn.
      if (ms <= 0 && signal?.aborted !== true) return turn();
      const end = performance.now() + ms;
      for (let left = ms; left > 0 && signal?.aborted !== true; left = end - performance.now()) {
        await pause(Math.min(left, TIMER_MS_MAX), signal);
      }
    },
  };
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    // Timers count whole milliseconds and may fire a fraction early: rounding up saves a second, shorter wait.
    const timer = setTimeout(done, Math.ceil(ms));
    signal?.addEventListener('abort', done, { once: true });
  });
}
