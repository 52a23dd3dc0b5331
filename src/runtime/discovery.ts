import type { ServiceName } from '../contract/index.ts';
import { type Clock, type Instance, type Instances, INSTANCES_SIGNAL, type Signals } from './ports/index.ts';
import type { FailPoints } from './fail-points.ts';
import type { Logger } from './service.ts';

/** Times of discovery, in milliseconds. */
export const DISCOVERY = {
  /** An instance that falls silent is gone after this. */
  leaseMs: 5_000,
  /** How often a lease is extended. */
  renewMs: 1_500,
  /** How often the list is read when no signal comes. */
  refreshMs: 1_000,
} as const;

export interface DiscoveryParts {
  readonly instances: Instances;
  readonly signals: Signals;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly failPoints: FailPoints;
}

/**
 * Keeps the list of instances by service: read at every signal and each second. While the store cannot be read the last
 * list stays, because those who served a moment ago mostly still do.
 */
export class Discovery {
  readonly #parts: DiscoveryParts;
  readonly #stopping = new AbortController();
  #known: ReadonlyMap<ServiceName, readonly URL[]> = new Map();
  #wake: AbortController = new AbortController();
  #loops: Promise<void>[] = [];
  #own: readonly Instance[] = [];
  #isAway = false;

  constructor(parts: DiscoveryParts) {
    this.#parts = parts;
  }

  /** Base addresses of the service, as last known. */
  addresses(service: ServiceName): readonly URL[] {
    return this.#known.get(service) ?? [];
  }

  /** Reads the list once and keeps it fresh until {@link Discovery.stop}. */
  async start(): Promise<void> {
    const unsubscribe = this.#parts.signals.subscribe(INSTANCES_SIGNAL, () => this.#wake.abort());
    this.#stopping.signal.addEventListener('abort', unsubscribe);
    await this.#refresh();
    this.#loops.push(this.#follow());
  }

  /** Announces what this process serves, and goes on doing so until {@link Discovery.withdraw}. */
  async announce(own: readonly Instance[]): Promise<void> {
    const { failPoints, instances } = this.#parts;
    this.#own = own;
    await failPoints.pass('discovery.announce.before');
    await instances.announce(own, DISCOVERY.leaseMs);
    await failPoints.pass('discovery.announce.after');
    this.#loops.push(this.#renew());
  }

  /** Takes back what was announced, so that nobody sends a new call here. */
  async withdraw(): Promise<void> {
    await this.#parts.failPoints.pass('discovery.withdraw.before');
    const ids = new Set(this.#own.map(({ id }) => id));
    this.#own = [];
    for (const id of ids) await this.#guarded(() => this.#parts.instances.withdraw(id));
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake.abort();
    await Promise.all(this.#loops);
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#parts.clock.sleep(DISCOVERY.refreshMs, this.#wake.signal);
      if (this.#wake.signal.aborted) this.#wake = new AbortController();
      if (!signal.aborted) await this.#guarded(() => this.#refresh());
    }
  }

  async #renew(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#parts.clock.sleep(DISCOVERY.renewMs, signal);
      if (signal.aborted || this.#own.length === 0) return;
      await this.#guarded(() => this.#parts.instances.announce(this.#own, DISCOVERY.leaseMs));
    }
  }

  async #refresh(): Promise<void> {
    const known = new Map<ServiceName, URL[]>();
    for (const { service, url } of await this.#parts.instances.live()) {
      const urls = known.get(service);
      if (urls === undefined) known.set(service, [new URL(url)]);
      else urls.push(new URL(url));
    }
    this.#known = known;
  }

  /** Says once that the store is away, and once that it is back. */
  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
      if (this.#isAway) this.#parts.logger.info('The list of instances can be read again');
      this.#isAway = false;
    } catch (error) {
      if (!this.#isAway)
        this.#parts.logger.warn('The list of instances cannot be read: the last one stays', { error });
      this.#isAway = true;
    }
  }
}
