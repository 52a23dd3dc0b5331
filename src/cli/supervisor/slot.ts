import type { ServiceName } from '../../contract/index.ts';
import type { Clock, FailPoints, Logger } from '../../runtime/index.ts';
import { BackOff } from './back-off.ts';
import { type Child, CHILD_TIMES, endChild, answersWithin, killChild } from './child.ts';
import type { ProcessRecord } from './state-file.ts';

export interface SlotParts {
  readonly service: ServiceName;
  /** Number among the slots of the service, from 1. */
  readonly number: number;
  readonly spawn: () => Promise<Child>;
  /** How long a child takes at most to stop by itself, in milliseconds. */
  readonly graceMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told whenever {@link Slot.record} is another. */
  readonly changed: () => void;
  readonly failPoints: FailPoints;
}

/** A child that was found running, with its restarts so far. */
export interface Adopted {
  readonly child: Child;
  readonly restarts: number;
}

/** The place of one process: whenever it ends another one takes its place, until the slot is stopped. */
export class Slot {
  readonly #parts: SlotParts;
  readonly #stopping = new AbortController();
  readonly #firstTry = Promise.withResolvers<boolean>();
  readonly #kept: Promise<void>;
  #child: Child | undefined;
  #state: ProcessRecord['state'] = 'starting';
  #restarts = 0;

  constructor(parts: SlotParts, adopted?: Adopted) {
    this.#parts = parts;
    this.#restarts = adopted?.restarts ?? 0;
    this.#kept = this.#keep(adopted?.child);
  }

  get number(): number {
    return this.#parts.number;
  }

  get isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** Whether the first process of this slot became ready, once that is known. */
  get becameReady(): Promise<boolean> {
    return this.#firstTry.promise;
  }

  record(): ProcessRecord {
    const { service, number } = this.#parts;
    const child = this.#child;
    return {
      service,
      slot: number,
      state: this.isStopping ? 'stopping' : this.#state,
      pid: child?.pid ?? null,
      started: child?.started ?? '',
      url: child?.url ?? null,
      restarts: this.#restarts,
    };
  }

  /** Ends the process and starts no other. */
  stop(): Promise<void> {
    this.#stopping.abort();
    this.#parts.changed();
    return this.#kept;
  }

  /** Ends the process at once, without waiting. */
  kill(): void {
    if (this.#child !== undefined) killChild(this.#child);
  }

  async #keep(adopted: Child | undefined): Promise<void> {
    const { clock, graceMs, logger, changed, service, number } = this.#parts;
    const backOff = new BackOff(clock);
    const { signal } = this.#stopping;
    let next = adopted;
    for (;;) {
      backOff.started();
      const child = next ?? (await this.#start());
      next = undefined;
      if (child !== undefined) await this.#watch(child);
      this.#firstTry.resolve(false);
      // Also one that never became ready.
      if (child !== undefined) await endChild(child, graceMs);
      this.#child = undefined;
      if (signal.aborted) break;
      this.#state = 'waiting';
      this.#restarts += 1;
      changed();
      const pauseMs = backOff.ended();
      logger.warn('A process ended and is started again', { service, slot: number, pauseMs });
      await clock.sleep(pauseMs, signal);
      if (signal.aborted) break;
    }
    changed();
  }

  async #start(): Promise<Child | undefined> {
    const { service, number, logger, spawn, changed, failPoints } = this.#parts;
    this.#state = 'starting';
    try {
      const child = await spawn();
      await failPoints.pass('supervisor.spawned');
      this.#child = child;
      changed();
      return child;
    } catch (error) {
      logger.error('A process could not be started', { service, slot: number, error });
      return undefined;
    }
  }

  /** Resolves when the child has ended, did not become ready in time, or is to stop. */
  async #watch(child: Child): Promise<void> {
    const { service, number, logger, changed } = this.#parts;
    const { signal } = this.#stopping;
    this.#child = child;
    const isReady = await answersWithin(child, 'ready', CHILD_TIMES.readyMsMax, signal);
    if (signal.aborted) return;
    if (!isReady) {
      logger.warn('A process did not become ready', { service, slot: number, pid: child.pid });
      return;
    }
    this.#state = 'ready';
    this.#firstTry.resolve(true);
    changed();
    const stopped = Promise.withResolvers<undefined>();
    const onStop = (): void => stopped.resolve(undefined);
    signal.addEventListener('abort', onStop, { once: true });
    const how = await Promise.race([child.ended, stopped.promise]);
    signal.removeEventListener('abort', onStop);
    if (how !== undefined) logger.warn('A process ended', { service, slot: number, pid: child.pid, how });
  }
}
