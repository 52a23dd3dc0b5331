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
  /** How often a process that is not ready yet looks whether it is, so that callers learn it soon. */
  lookMs: 200,
  /** How long a service may take to say whether it is ready; one that does not answer is not. */
  readyMs: 1_000,
} as const;

/** Says of a service of this process whether it can do its job now. */
export type ReadinessOf = (service: ServiceName) => Promise<boolean>;

export interface DiscoveryParts {
  readonly instances: Instances;
  readonly signals: Signals;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly failPoints: FailPoints;
}

/**
 * Keeps the list of instances by service: read at every signal and each second. While the store cannot be read the last
 * list stays, because those who served a moment ago mostly still do. When it can be read again, those on that list have
 * one lease's time to extend what ran out in the meantime.
 */
export class Discovery {
  readonly #parts: DiscoveryParts;
  readonly #stopping = new AbortController();
  readonly #listeners = new Set<() => void>();
  #known: ReadonlyMap<ServiceName, readonly URL[]> = new Map();
  #byId: ReadonlyMap<string, readonly Instance[]> = new Map();
  #live: readonly Instance[] = [];
  #wake: AbortController = new AbortController();
  #loops: Promise<void>[] = [];
  #own: readonly Instance[] = [];
  #isReady: ReadinessOf = async () => true;
  #announcing: Promise<void> = Promise.resolve();
  #isAway = false;
  /** By the monotonic clock: when the list was last read, and until when nobody leaves it. */
  #readAt: number | undefined;
  #keepUntil = -Infinity;

  constructor(parts: DiscoveryParts) {
    this.#parts = parts;
  }

  /**
   * Base addresses of the service, as last known: of its ready instances, or of all when none is ready. The
   * list is the same object until it is read again.
   */
  addresses(service: ServiceName): readonly URL[] {
    return this.#known.get(service) ?? NONE;
  }

  /** Instances of the service, as last known, ready or not. */
  instances(service: ServiceName): readonly Instance[] {
    return this.#live.filter((instance) => instance.service === service);
  }

  /** Base address of one instance, if it is known. */
  addressOf(service: ServiceName, id: string): URL | undefined {
    const found = this.#live.find((instance) => instance.service === service && instance.id === id);
    return found === undefined ? undefined : new URL(found.url);
  }

  /** Calls `listener` whenever the list was read; the function that comes back ends it. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Services of which an instance is known. */
  services(): ReadonlySet<ServiceName> {
    return new Set(this.#known.keys());
  }

  /** What is known of a process: one entry for each service that it runs. */
  instance(id: string): readonly Instance[] {
    return this.#byId.get(id) ?? [];
  }

  /** Reads the list once and keeps it fresh until {@link Discovery.stop}. */
  async start(): Promise<void> {
    const unsubscribe = this.#parts.signals.subscribe(INSTANCES_SIGNAL, () => this.#wake.abort());
    this.#stopping.signal.addEventListener('abort', unsubscribe);
    await this.#refresh();
    this.#loops.push(this.#follow());
  }

  /**
   * Announces what this process serves and whether it is ready, and goes on doing so until
   * {@link Discovery.withdraw}.
   */
  async announce(own: readonly Instance[], isReady: ReadinessOf = this.#isReady): Promise<void> {
    const { failPoints, instances } = this.#parts;
    this.#isReady = isReady;
    this.#own = await this.#look(own);
    await failPoints.pass('discovery.announce.before');
    await instances.announce(this.#own, DISCOVERY.leaseMs);
    await failPoints.pass('discovery.announce.after');
    this.#loops.push(this.#renew());
  }

  /** Takes back what was announced, so that nobody sends a new call here. */
  async withdraw(): Promise<void> {
    await this.#parts.failPoints.pass('discovery.withdraw.before');
    const ids = new Set(this.#own.map(({ id }) => id));
    this.#own = [];
    // A renewal that is under way would come after it and put the rows back.
    await this.#announcing;
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
    const { clock, instances } = this.#parts;
    let renewedMs = clock.monotonic();
    while (!signal.aborted) {
      await clock.sleep(this.#own.every(isReady) ? DISCOVERY.renewMs : DISCOVERY.lookMs, signal);
      const before = this.#own;
      const now = await this.#look(before);
      // It may have been withdrawn meanwhile.
      if (signal.aborted || this.#own.length === 0) return;
      this.#own = now;
      const isChanged = now.some((instance, index) => isReady(instance) !== before[index]?.ready);
      if (!isChanged && clock.monotonic() - renewedMs < DISCOVERY.renewMs) continue;
      renewedMs = clock.monotonic();
      this.#announcing = this.#guarded(() => instances.announce(now, DISCOVERY.leaseMs));
      await this.#announcing;
    }
  }

  /** The instances with their readiness of now. The lease does not wait for a service that does not answer. */
  async #look(own: readonly Instance[]): Promise<readonly Instance[]> {
    const over = new AbortController();
    const late = this.#parts.clock.sleep(DISCOVERY.readyMs, over.signal).then(() => false);
    try {
      return await Promise.all(
        own.map(async (instance) => {
          const ready = await Promise.race([this.#isReady(instance.service).catch(() => false), late]);
          return { ...instance, ready };
        }),
      );
    } finally {
      over.abort();
    }
  }

  async #refresh(): Promise<void> {
    const live = await this.#parts.instances.live();
    const some = new Set(live.filter(isReady).map(({ service }) => service));
    const known = new Map<ServiceName, URL[]>();
    for (const instance of live) {
      if (!isReady(instance) && some.has(instance.service)) continue;
      add(known, instance.service, new URL(instance.url));
    }
    const now = this.#parts.clock.monotonic();
    // Nobody could extend a lease while the store was away: that one ran out says nothing about its instance.
    const wasAway = this.#readAt !== undefined && now - this.#readAt > DISCOVERY.leaseMs - DISCOVERY.renewMs;
    if (wasAway) this.#keepUntil = now + DISCOVERY.leaseMs;
    if (now < this.#keepUntil) {
      const present = new Set(live.map(({ url }) => new URL(url).href));
      for (const [service, urls] of this.#known) {
        for (const url of urls) if (!present.has(url.href)) add(known, service, url);
      }
    }
    const ids = new Set(live.map(({ id }) => id));
    const kept = now < this.#keepUntil ? this.#live.filter(({ id }) => !ids.has(id)) : [];
    this.#live = [...live, ...kept];
    this.#readAt = now;
    this.#known = known;
    this.#byId = Map.groupBy(live, ({ id }) => id);
    for (const listener of this.#listeners) listener();
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

const NONE: readonly URL[] = Object.freeze([]);

function isReady({ ready }: Instance): boolean {
  return ready ?? true;
}

function add(known: Map<ServiceName, URL[]>, service: ServiceName, url: URL): void {
  const urls = known.get(service);
  if (urls === undefined) known.set(service, [url]);
  else if (!urls.some(({ href }) => href === url.href)) urls.push(url);
}
