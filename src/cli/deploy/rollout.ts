import type { ServiceName } from '../../contract/index.ts';
import type { Clock } from '../../runtime/index.ts';
import type { ProcessRecord } from '../supervisor/state-file.ts';
import type { Build } from './build.ts';
import type { Shown } from '../ask.ts';
import { lookAt, watchCanary } from './canary.ts';
import { ROLLOUT_TIMES } from './limits.ts';

/** A place for one process, of one build for good. */
export interface RolloutSlot {
  readonly build: Build;
  readonly becameReady: Promise<boolean>;
  /** A number that changes while its process comes nearer to being ready. */
  readonly progress?: number;
  record(): ProcessRecord;
}

/** The processes of a service, as a roll-out moves them. */
export interface RolloutFleet<TSlot extends RolloutSlot = RolloutSlot> {
  /** How many there are to be. */
  readonly replicas: number;
  /** Those that are to stay. */
  active(): readonly TSlot[];
  add(build: Build): TSlot;
  /** Resolves when its process has ended. */
  remove(slot: TSlot): Promise<void>;
}

/** How far a roll-out is. */
export type RolloutPhase = 'starting' | 'canary' | 'replacing' | 'rolling back';

export interface RolloutParts {
  readonly service: ServiceName;
  readonly from: Build;
  readonly to: Build;
  readonly fleet: RolloutFleet;
  /** Whether the first new process is watched before the others follow. */
  readonly watched: boolean;
  readonly clock: Clock;
  /** What the processes are shown that are asked how they are. Default: nothing. */
  readonly shown?: Shown | undefined;
  /** Leaves everything as it is. */
  readonly signal: AbortSignal;
  /** Told before anything of the phase is done. */
  readonly enter: (phase: RolloutPhase) => Promise<void>;
}

/** `interrupted`: nothing was decided; whoever comes next does. */
export type RolloutEnd =
  | { readonly how: 'done' | 'interrupted' }
  | { readonly how: 'rolled back'; readonly reason: string };

/**
 * Replaces the processes of a service by those of another build, one by one: the new one is ready before an old one stops.
 * The first is watched beside the old ones; when anything is wrong the old ones stay, or come back, and the new ones go.
 */
export async function rollOut(parts: RolloutParts): Promise<RolloutEnd> {
  const rollout = new Rollout(parts);
  const reason = await rollout.forward();
  if (parts.signal.aborted) return { how: 'interrupted' };
  if (reason === undefined) return { how: 'done' };
  await rollout.back();
  return parts.signal.aborted ? { how: 'interrupted' } : { how: 'rolled back', reason };
}

class Rollout {
  readonly #parts: RolloutParts;

  constructor(parts: RolloutParts) {
    this.#parts = parts;
  }

  /** Resolves with what is wrong with the new build, if anything is. */
  async forward(): Promise<string | undefined> {
    const { fleet, watched, signal, enter } = this.#parts;
    if (fleet.replicas === 0 && this.#old().length === 0) return undefined;
    await enter('starting');
    const first = await this.#start();
    if (typeof first === 'string' || signal.aborted) return typeof first === 'string' ? first : undefined;
    if (watched) {
      await enter('canary');
      const problem = await this.#watch(first);
      if (problem !== undefined || signal.aborted) return problem;
    }
    await enter('replacing');
    return this.#replace();
  }

  async #replace(): Promise<string | undefined> {
    const { fleet, signal } = this.#parts;
    for (;;) {
      const fallen = this.#fresh().find((slot) => slot.record().restarts > 0);
      if (fallen !== undefined) return 'a new process ended';
      const [oldest] = this.#old();
      const isOneMore = fleet.active().length > fleet.replicas;
      if (oldest !== undefined && isOneMore) await fleet.remove(oldest);
      else if (this.#fresh().length < fleet.replicas) {
        const next = await this.#start();
        if (typeof next === 'string') return next;
      } else return undefined;
      if (signal.aborted) return undefined;
    }
  }

  /** Brings back as many old processes as there were, then ends the new ones. */
  async back(): Promise<void> {
    const { fleet, from, clock, signal, enter } = this.#parts;
    await enter('rolling back');
    const fresh = this.#fresh();
    while (this.#old().length < fleet.replicas && !signal.aborted) {
      const back = fleet.add(from);
      // One that does not become ready at once is tried again by its slot.
      await readyWithin(back, clock, signal);
    }
    if (!signal.aborted) await Promise.all(fresh.map((slot) => fleet.remove(slot)));
  }

  #fresh(): readonly RolloutSlot[] {
    return this.#parts.fleet.active().filter(({ build }) => build.id === this.#parts.to.id);
  }

  #old(): readonly RolloutSlot[] {
    return this.#parts.fleet.active().filter(({ build }) => build.id !== this.#parts.to.id);
  }

  /** One more new process; the reason when it does not become ready. */
  async #start(): Promise<RolloutSlot | string> {
    const { fleet, to, service, clock, signal } = this.#parts;
    const slot = fleet.add(to);
    const how = await readyWithin(slot, clock, signal);
    if (how === 'ready') return slot;
    const why = how === 'late' ? `within ${String(ROLLOUT_TIMES.readyMsMax / 1_000)} s` : 'but ended';
    return `the new process did not become ready ${why}; 'tandem logs ${service}' shows what it wrote`;
  }

  #watch(slot: RolloutSlot): Promise<string | undefined> {
    const { clock, signal, shown } = this.#parts;
    return watchCanary({
      fresh: () => slot.record(),
      old: () => this.#old().map((other) => other.record()),
      look: (url) => lookAt(url, shown),
      clock,
      signal,
    });
  }
}

/** One that comes nearer, as features do that build their state from history, is given its time anew. */
async function readyWithin(
  slot: RolloutSlot,
  clock: Clock,
  signal: AbortSignal,
): Promise<'ready' | 'ended' | 'late'> {
  const { readyMsMax, backfillMsMax, lookMs } = ROLLOUT_TIMES;
  const ready = slot.becameReady.then((isReady) => (isReady ? ('ready' as const) : ('ended' as const)));
  const last = clock.monotonic() + backfillMsMax;
  let until = clock.monotonic() + readyMsMax;
  let progress = slot.progress;
  while (!signal.aborted && clock.monotonic() < Math.min(until, last)) {
    const over = new AbortController();
    const look = clock.sleep(lookMs, AbortSignal.any([signal, over.signal])).then(() => 'look' as const);
    const how = await Promise.race([ready, look]);
    over.abort();
    if (how !== 'look') return how;
    if (slot.progress !== progress) until = clock.monotonic() + readyMsMax;
    progress = slot.progress;
  }
  return 'late';
}
