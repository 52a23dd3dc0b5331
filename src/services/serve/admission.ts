import { PlatformError } from '../../contract/index.ts';
import type { Clock } from '../../runtime/index.ts';
import type { ServeMetrics } from './metrics.ts';
import type { ServeOptions } from './options.ts';

/** What {@link Admission} needs. */
export interface AdmissionParts {
  readonly clock: Clock;
  readonly metrics: Pick<ServeMetrics, 'inFlight'>;
  readonly limits: Pick<ServeOptions, 'inFlightMax'>;
}

/** Bounds how many decisions and recommendations are at work at a time, and waits for them at the end. */
export class Admission {
  readonly #parts: AdmissionParts;
  #inFlight = 0;
  #stopped = false;
  #onIdle: (() => void) | undefined;

  constructor(parts: AdmissionParts) {
    this.#parts = parts;
  }

  /** Does the work if there is room for it. Rejects with OVERLOADED, UNAVAILABLE after {@link stop}, and as the work does. */
  async within<TResult>(work: () => Promise<TResult>): Promise<TResult> {
    this.#admit();
    try {
      return await work();
    } finally {
      this.#leave();
    }
  }

  /** Refuses new work and waits for what is under way, for `graceMs` at most. */
  async stop(graceMs: number): Promise<void> {
    this.#stopped = true;
    if (this.#inFlight === 0) return;
    const over = new AbortController();
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
    await Promise.race([idle, this.#parts.clock.sleep(graceMs, over.signal)]);
    over.abort();
  }

  #admit(): void {
    const { limits, metrics } = this.#parts;
    if (this.#stopped) throw new PlatformError('UNAVAILABLE', 'This replica is stopping; ask another one');
    const { inFlightMax } = limits;
    if (this.#inFlight >= inFlightMax) {
      throw new PlatformError('OVERLOADED', `${String(inFlightMax)} decisions are under way`, {
        details: { inFlightMax },
      });
    }
    this.#inFlight += 1;
    metrics.inFlight.set(this.#inFlight);
  }

  #leave(): void {
    this.#inFlight -= 1;
    this.#parts.metrics.inFlight.set(this.#inFlight);
    if (this.#inFlight === 0) this.#onIdle?.();
  }
}
