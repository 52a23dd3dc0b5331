import { PlatformError } from '../../contract/index.ts';
import type { ServiceHost } from '../../runtime/index.ts';
import type { TrainOptions } from './options.ts';

/** Pauses between two tries, in milliseconds: they double from the first to the last. */
const PAUSE_MS_MIN = 250;
const PAUSE_MS_MAX = 10_000;

export interface Patience {
  readonly host: Pick<ServiceHost<TrainOptions>, 'clock' | 'options'>;
  readonly signal: AbortSignal;
  /** Told before each pause what is not available. */
  readonly onWait?: (error: PlatformError) => void;
}

/**
 * Tries again while the failure is one that passes, for `options.waitMs`. Rejects with the last failure, or the signal's reason.
 */
export async function withPatience<TResult>(
  { host: { clock, options }, signal, onWait }: Patience,
  work: () => Promise<TResult>,
): Promise<TResult> {
  const untilMs = clock.monotonic() + options.waitMs;
  for (let pauseMs = PAUSE_MS_MIN; ; pauseMs = Math.min(pauseMs * 2, PAUSE_MS_MAX)) {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      if (!PlatformError.is(error) || !error.retryable || clock.monotonic() >= untilMs) throw error;
      onWait?.(error);
      await clock.sleep(pauseMs, signal);
      signal.throwIfAborted();
    }
  }
}
