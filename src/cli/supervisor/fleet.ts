import type { ServiceName } from '../../contract/index.ts';
import type { ReplicaRange } from '../../define/index.ts';
import { type Demand, type Shares } from './machine-limits.ts';
import { signalText } from './autoscaler.ts';
import type { ScaledService, ScalingOrder } from './scaler.ts';
import type { Slot } from './slot.ts';
import type { ServiceRecord } from './state-file.ts';

/** Between which numbers of processes load decides, and where to begin. */
export interface WantedReplicas {
  /** What flags or the description say. */
  readonly standard: ReplicaRange;
  /** What `tandem scale` said instead. */
  readonly scaled: ReplicaRange | null;
  /** How many there should be at first. Default: the fewest. */
  readonly replicas?: number;
}

/** One service of the deployment. */
export class Fleet {
  readonly slots = new Set<Slot>();
  readonly service: ServiceName;
  readonly shares: Shares;
  readonly #standard: ReplicaRange;
  #scaled: ReplicaRange | null;
  /** Processes that load asks for. */
  #wanted: number;
  /** Processes that there is room for. */
  replicas = 0;
  restarting = false;
  problem: string | null = null;
  /** Why fewer run than wanted. */
  held: string | null = null;
  #order: Omit<ScalingOrder, 'wanted'> = { reason: undefined, signal: undefined };
  #changed: { readonly at: number; readonly reason: string } | null = null;

  constructor(service: ServiceName, wanted: WantedReplicas, shares: Shares) {
    this.service = service;
    this.shares = shares;
    this.#standard = wanted.standard;
    this.#scaled = wanted.scaled;
    this.#wanted = clamp(wanted.replicas ?? 0, this.range);
  }

  get range(): ReplicaRange {
    return this.#scaled ?? this.#standard;
  }

  get wanted(): number {
    return this.#wanted;
  }

  /** Slots whose process is to stay, by number. */
  active(): Slot[] {
    return [...this.slots]
      .filter((slot) => !slot.isStopping)
      .sort((left, right) => left.number - right.number);
  }

  /** From now on within this range, or as the description says. */
  bound(range: ReplicaRange | null): void {
    this.#scaled = range;
    this.#wanted = clamp(this.#wanted, this.range);
  }

  /** Takes what a look led to; whether the number is another one now. */
  take({ wanted, reason, signal }: ScalingOrder, at: number): boolean {
    const isChanged = wanted !== this.#wanted;
    this.#order = { reason, signal };
    if (isChanged) this.#changed = { at, reason: reason ?? '' };
    this.#wanted = wanted;
    return isChanged;
  }

  demand(): Demand {
    const running = this.active().length;
    return {
      service: this.service,
      ...this.shares,
      min: this.range.min,
      wanted: this.#wanted,
      running,
      ending: this.slots.size - running,
    };
  }

  scaled(): ScaledService {
    const { service, range, restarting } = this;
    const ready = this.active().flatMap((slot) => {
      const { state, url } = slot.record();
      return state === 'ready' && url !== null ? [url] : [];
    });
    return { service, range, wanted: this.#wanted, restarting, ready };
  }

  record(): Omit<ServiceRecord, 'build' | 'deployment'> {
    const { replicas, restarting, problem, held, range } = this;
    const { signal } = this.#order;
    return {
      replicas,
      ...range,
      scaled: this.#scaled !== null,
      signal: signal === undefined ? null : signalText(signal),
      changed: this.#changed,
      held,
      restarting,
      problem,
    };
  }
}

function clamp(replicas: number, { min, max }: ReplicaRange): number {
  return Math.min(Math.max(replicas, min), max);
}
