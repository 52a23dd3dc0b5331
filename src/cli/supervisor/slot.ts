import type { ServiceName } from '../../contract/index.ts';
import type { Clock, FailPoints, Logger } from '../../runtime/index.ts';
import type { Build } from '../deploy/build.ts';
import { BackOff } from './back-off.ts';
import { type Child, CHILD_TIMES, endChild, killChild, readyWithin } from './child.ts';
import { type Fault, watchLife } from './life.ts';
import type { SupervisorMetrics } from './metrics.ts';
import { lowerPriority } from './shares.ts';
import type { ProcessRecord } from './state-file.ts';

export interface SlotParts {
  readonly service: ServiceName;
  /** Number among the slots of the service, from 1. */
  readonly number: number;
  /** What its processes run, as long as it is there. */
  readonly build: Build;
  readonly spawn: () => Promise<Child>;
  /** How long a child takes at most to stop by itself, in milliseconds. */
  readonly graceMs: number;
  /** Most memory of a child, in MiB; one that holds more is started anew. `undefined`: any. */
  readonly memoryMax: number | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: SupervisorMetrics;
  /** Told whenever {@link Slot.record} is another. */
  readonly changed: () => void;
  readonly failPoints: FailPoints;
}

/** A child that was found running, with its restarts so far. */
export interface Adopted {
  readonly child: Child;
  readonly restarts: number;
}

const FAULTS: Readonly<Record<Fault['reason'], string>> = {
  ended: 'A process ended',
  hung: 'A process hangs and is ended',
  memory: 'A process holds more memory than its share and is replaced',
  mute: 'A process does not start to listen and is ended',
};

/** The place of one process: whenever it ends another one takes its place, until the slot is stopped. */
export class Slot {
  readonly #parts: SlotParts;
  readonly #stopping = new AbortController();
  readonly #firstTry = Promise.withResolvers<boolean>();
  readonly #kept: Promise<void>;
  #child: Child | undefined;
  #state: ProcessRecord['state'] = 'starting';
  #restarts = 0;
  #problem: string | null = null;
  #lastEnd: ProcessRecord['lastEnd'] = null;
  #progress = 0;

  constructor(parts: SlotParts, adopted?: Adopted) {
    this.#parts = parts;
    this.#restarts = adopted?.restarts ?? 0;
    this.#kept = this.#keep(adopted?.child);
  }

  get number(): number {
    return this.#parts.number;
  }

  get build(): Build {
    return this.#parts.build;
  }

  get isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** Whether the first process of this slot became ready, once that is known. */
  get becameReady(): Promise<boolean> {
    return this.#firstTry.promise;
  }

  /** A number that changes while its process comes nearer to being ready. */
  get progress(): number {
    return this.#progress;
  }

  record(): ProcessRecord {
    const { service, number, build } = this.#parts;
    const child = this.#child;
    return {
      service,
      slot: number,
      build: build.id,
      state: this.isStopping ? 'stopping' : this.#state,
      pid: child?.pid ?? null,
      started: child?.started ?? '',
      url: child?.url ?? null,
      restarts: this.#restarts,
      problem: this.#problem,
      lastEnd: this.#lastEnd,
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
      const isAdopted = next !== undefined;
      const child = next ?? (await this.#start());
      next = undefined;
      if (child !== undefined) await this.#watch(child, isAdopted);
      this.#firstTry.resolve(false);
      if (!signal.aborted) this.#state = 'waiting';
      changed();
      // Also one that never became ready.
      if (child !== undefined) await endChild(child, graceMs);
      this.#child = undefined;
      this.#problem = null;
      if (signal.aborted) break;
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

  /** Resolves when the child has ended, must be started anew, or is to stop. */
  async #watch(child: Child, isAdopted: boolean): Promise<void> {
    const { service, number, logger, metrics } = this.#parts;
    this.#child = child;
    const over = new AbortController();
    const stop = (): void => over.abort();
    void child.ended.then(stop);
    this.#stopping.signal.addEventListener('abort', stop, { once: true });
    try {
      const facts = { service, slot: number, pid: child.pid };
      const fault = await Promise.race<Fault | undefined>([
        child.ended.then((how): Fault => ({ reason: 'ended', how })),
        isAdopted ? this.#goOn(child, over.signal) : this.#live(child, over.signal),
      ]);
      if (fault === undefined || this.isStopping) return;
      metrics.ends.add(1, { service, reason: fault.reason });
      // What hangs does not get better while somebody reads its log.
      if (fault.reason === 'hung') killChild(child);
      const { how } = fault;
      const said = await child.lastError();
      this.#lastEnd = { at: this.#parts.clock.now(), how, error: said ?? null };
      logger.warn(FAULTS[fault.reason], {
        ...facts,
        how,
        ...(said === undefined ? {} : { lastError: said }),
      });
    } finally {
      this.#stopping.signal.removeEventListener('abort', stop);
      over.abort();
    }
  }

  /** Waits until the child is ready, and then for a fault; `undefined` when `signal` is aborted. */
  async #live(child: Child, signal: AbortSignal): Promise<Fault | undefined> {
    const fault = await this.#begin(child, signal);
    return fault ?? this.#watchLife(child, signal);
  }

  /**
   * As {@link Slot.#live} for a child that another supervisor started, which was ready once: from the start it is looked
   * whether it hangs. It is not ended for being slow to answer now: whatever ended its supervisor may keep the machine busy.
   */
  async #goOn(child: Child, signal: AbortSignal): Promise<Fault | undefined> {
    const begun = this.#begin(child, signal);
    const faults = new Promise<Fault>((resolve) => {
      void begun.then((fault) => fault !== undefined && resolve(fault));
    });
    return Promise.race([faults, this.#watchLife(child, signal)]);
  }

  /** Waits until the child is ready; what keeps it from that for long is reported, or is a fault. */
  async #begin(child: Child, signal: AbortSignal): Promise<Fault | undefined> {
    const moved = (progress: number): void => {
      this.#progress = progress;
    };
    if (await readyWithin(child, CHILD_TIMES.readyMsMax, signal, moved)) {
      this.#becomeReady(child);
      return undefined;
    }
    if (signal.aborted) return undefined;
    this.#firstTry.resolve(false);
    const seconds = `${String(CHILD_TIMES.readyMsMax / 1_000)} s`;
    if (child.url === undefined) return { reason: 'mute', how: `said no address within ${seconds}` };
    this.#report(child, `not ready within ${seconds}`);
    return undefined;
  }

  #watchLife(child: Child, signal: AbortSignal): Promise<Fault | undefined> {
    const { clock, memoryMax } = this.#parts;
    return watchLife(child, {
      memoryMax,
      clock,
      signal,
      isReported: this.#problem !== null,
      report: (problem) => {
        if (problem === null) this.#becomeReady(child);
        this.#report(child, problem);
      },
    });
  }

  #becomeReady({ pid }: Child): void {
    this.#firstTry.resolve(true);
    if (this.#state === 'ready') return;
    this.#state = 'ready';
    void lowerPriority(this.#parts.service, pid);
    this.#parts.changed();
  }

  #report(child: Child, problem: string | null): void {
    const { service, number, logger, changed } = this.#parts;
    const facts = { service, slot: number, pid: child.pid };
    if (problem === null) logger.info('A process is ready again', facts);
    else if (this.#problem === null) logger.warn('A process is not ready', { ...facts, problem });
    this.#problem = problem;
    changed();
  }
}
