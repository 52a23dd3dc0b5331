import { PlatformError, type ServiceName } from '../../contract/index.ts';
import { SERVICE_NAMES } from '../../contract/route.ts';
import type { ReplicaRange } from '../../define/index.ts';
import type { Clock, FailPoints, Logger } from '../../runtime/index.ts';
import type { Build } from '../deploy/build.ts';
import type { Deployed } from '../deploy/deployed.ts';
import type { RolloutFleet } from '../deploy/rollout.ts';
import type { ProcessIdentity } from '../process-identity.ts';
import { adoptChild, type Child, endChild } from './child.ts';
import { checkRange } from './description.ts';
import { Fleet, type WantedReplicas } from './fleet.ts';
import { allocate, type Shares } from './machine-limits.ts';
import type { SupervisorMetrics } from './metrics.ts';
import type { ScaledService, ScalingOrder } from './scaler.ts';
import { type Adopted, Slot } from './slot.ts';
import {
  livingProcesses,
  type ProcessRecord,
  type ServiceRecord,
  type StateFile,
  type UpState,
} from './state-file.ts';

export interface SupervisorParts {
  readonly identity: ProcessIdentity;
  readonly dataDir: string;
  /** File of the app, for the state. */
  readonly app: string;
  /** Processes that are wanted. */
  readonly wanted: ReadonlyMap<ServiceName, WantedReplicas>;
  /** Shares of one process by service. */
  readonly shares: ReadonlyMap<ServiceName, Shares>;
  /** Most memory of a process of the service, in MiB; `undefined`: any. */
  readonly memoryMax: (service: ServiceName) => number | undefined;
  /** What all processes have together. */
  readonly machine: Shares;
  /** What the processes of each service run. */
  readonly builds: Deployed;
  readonly spawn: (service: ServiceName, slot: number, build: Build) => Promise<Child>;
  /** How long a child takes at most to stop by itself, in milliseconds. */
  readonly graceMs: number;
  readonly file: StateFile;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: SupervisorMetrics;
  readonly failPoints: FailPoints;
}

/** No process, and no share of the machine. */
const NONE: WantedReplicas = { standard: { min: 0, max: 0 }, scaled: null };
const NOTHING: Shares = { cpu: 0, memory: 0 };

/** Order in which services start: the first one alone brings the tables up to date that they share. */
const START_ORDER: readonly ServiceName[] = ['ingest', 'features', 'registry', 'train', 'serve', 'gateway'];

/** Keeps the wanted number of processes of each service running. */
export class Supervisor {
  readonly #parts: SupervisorParts;
  readonly #fleets: ReadonlyMap<ServiceName, Fleet>;
  readonly #stopping = new AbortController();
  readonly #restarts = new Set<Promise<void>>();
  /** Processes of another supervisor that are still to be taken over or ended. */
  readonly #undecided = new Set<ProcessRecord>();
  #starting: Promise<void> = Promise.resolve();
  #controlPort: number | null = null;

  constructor(parts: SupervisorParts) {
    this.#parts = parts;
    const fleetOf = (service: ServiceName): Fleet => {
      const shares = parts.shares.get(service) ?? NOTHING;
      return new Fleet(service, parts.wanted.get(service) ?? NONE, shares);
    };
    this.#fleets = new Map(SERVICE_NAMES.map((service) => [service, fleetOf(service)]));
  }

  /**
   * Takes over the processes of `left`, starts what is missing, and resolves when each process became ready
   * once or failed to. One that fails is tried again and again.
   */
  start(left: UpState | undefined): Promise<void> {
    this.#starting = this.#start(left);
    return this.#starting;
  }

  async #start(left: UpState | undefined): Promise<void> {
    this.#balance();
    if (left !== undefined) await this.#adopt(left);
    const order = START_ORDER.filter((service) => this.#fleet(service).replicas > 0);
    const [first, ...others] = order;
    if (first === undefined || this.#isStopping) return;
    void this.#fit(first);
    // Where a supervisor was before this one the tables are up to date, mostly: nobody needs to wait for them.
    if (left === undefined) await this.#becameReady(first, 'any');
    if (this.#isStopping) return;
    for (const service of others) void this.#fit(service);
    await Promise.all(order.map((service) => this.#becameReady(service, 'all')));
  }

  /** Verbs reach this supervisor at the port. */
  async publish(controlPort: number): Promise<void> {
    this.#controlPort = controlPort;
    await this.#save();
  }

  state(): UpState {
    const { builds } = this.#parts;
    const services = Object.fromEntries(
      [...this.#fleets].map(([service, fleet]): [ServiceName, ServiceRecord] => {
        const { id, label } = builds.wanted(service);
        return [service, { ...fleet.record(), build: { id, label }, deployment: builds.deployment(service) }];
      }),
    ) as Record<ServiceName, ServiceRecord>;
    const processes = [...this.#fleets.values()].flatMap(({ slots }) =>
      [...slots].sort((left, right) => left.number - right.number).map((slot) => slot.record()),
    );
    processes.push(...this.#undecided);
    const { identity, app } = this.#parts;
    const { pid, started } = identity;
    return { supervisor: { pid, started }, app, controlPort: this.#controlPort, services, processes };
  }

  /**
   * From now on so many processes of the service, a number or a range in which load decides; `null` gives back what the
   * description says. Resolves when that is written down, not when they are ready. Rejects with CONFIGURATION when
   * that many may not run, CONFLICT while the service is restarted.
   */
  async scale(service: ServiceName, replicas: number | ReplicaRange | null): Promise<void> {
    const fleet = this.#idleFleet(service);
    fleet.bound(replicas === null ? null : checkRange(service, replicas));
    await this.#parts.failPoints.pass('supervisor.scaling');
    await this.#rebalance();
  }

  /** Every service, as the scaler needs to know it. */
  scaled(): readonly ScaledService[] {
    return [...this.#fleets.values()].map((fleet) => fleet.scaled());
  }

  /** Takes the number of processes that load asks for. */
  order(service: ServiceName, order: ScalingOrder): void {
    const { clock, logger, metrics } = this.#parts;
    const fleet = this.#fleet(service);
    const from = fleet.wanted;
    if (this.#isStopping || fleet.restarting) return;
    const isChanged = fleet.take(order, clock.now());
    if (isChanged) {
      const { wanted: to, reason } = order;
      logger.info(to > from ? 'Scaling up' : 'Scaling down', { service, from, to, reason });
      metrics.scalings.add(1, { service, direction: to > from ? 'up' : 'down' });
    }
    // Without a change too: what waited for room may have it now.
    if (isChanged || fleet.held !== null) void this.#rebalance();
  }

  /**
   * Begins to replace the processes of a service, one by one: the new one is ready before the old one stops.
   * When a new one does not become ready, the old ones stay and the state says so.
   */
  restart(service: ServiceName): void {
    const fleet = this.#idleFleet(service);
    fleet.restarting = true;
    fleet.problem = null;
    const work = this.#replaceAll(service, fleet).finally(() => {
      fleet.restarting = false;
      this.#restarts.delete(work);
      if (!this.#isStopping) void this.#fit(service);
    });
    this.#restarts.add(work);
  }

  /**
   * Takes the processes of a service into the hands of a deployment: nobody else starts or stops any until it gives them
   * back. Throws CONFLICT while they are replaced already.
   */
  lend(service: ServiceName): LentFleet {
    const fleet = this.#idleFleet(service);
    fleet.restarting = true;
    fleet.problem = null;
    return {
      get replicas() {
        return fleet.replicas;
      },
      active: () => fleet.active(),
      add: (build) => this.#add(service, { build }),
      remove: (slot) => this.#remove(fleet, slot),
      giveBack: () => {
        fleet.restarting = false;
        if (!this.#isStopping) void this.#fit(service);
      },
    };
  }

  /** Processes of the service that are there to stay. */
  active(service: ServiceName): readonly Slot[] {
    return this.#fleet(service).active();
  }

  /** Stops every process; resolves when none runs. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#allSlots().map((slot) => slot.stop()));
    await Promise.all([this.#starting, ...this.#restarts]);
  }

  /** Ends every process at once. */
  kill(): void {
    for (const slot of this.#allSlots()) slot.kill();
  }

  get #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  #fleet(service: ServiceName): Fleet {
    const fleet = this.#fleets.get(service);
    if (fleet === undefined) throw new Error(`There is no fleet of ${service}`);
    return fleet;
  }

  #idleFleet(service: ServiceName): Fleet {
    if (this.#isStopping) throw new PlatformError('UNAVAILABLE', 'The supervisor is stopping');
    const fleet = this.#fleet(service);
    if (!fleet.restarting) return fleet;
    throw new PlatformError('CONFLICT', `${service} is being restarted; wait for the end of it`);
  }

  #allSlots(): Slot[] {
    return [...this.#fleets.values()].flatMap(({ slots }) => [...slots]);
  }

  async #becameReady(service: ServiceName, which: 'any' | 'all'): Promise<void> {
    const tries = [...this.#fleet(service).slots].map((slot) => slot.becameReady);
    await (which === 'any' ? Promise.race(tries) : Promise.all(tries));
  }

  async #adopt(left: UpState): Promise<void> {
    const { graceMs, logger } = this.#parts;
    const living = await livingProcesses(left);
    for (const record of living) this.#undecided.add(record);
    const adopting = living.map(async (record) => {
      const { service, slot, pid, restarts } = record;
      const build = this.#parts.builds.known(service, record.build);
      const child = adoptChild(record, this.#parts.dataDir);
      // One that hangs is found out by its slot.
      const goesOn = record.state !== 'stopping' && !this.#isStopping;
      logger.info(goesOn ? 'Took over a process' : 'Ending a process', { service, pid });
      if (goesOn) this.#add(service, { slot, build, adopted: { child, restarts } });
      else await endChild(child, graceMs);
      this.#undecided.delete(record);
    });
    await Promise.all(adopting);
    for (const service of SERVICE_NAMES) this.#shrink(this.#fleet(service));
  }

  /** Shares the machine out among what is wanted; gives the services for which there is room for another number. */
  #balance(): ServiceName[] {
    const fleets = [...this.#fleets.values()].filter(({ restarting }) => !restarting);
    const grants = allocate(
      [...this.#fleets.values()].map((fleet) => fleet.demand()),
      this.#parts.machine,
    );
    return fleets.flatMap((fleet) => {
      const { replicas = 0, held = null } = grants.get(fleet.service) ?? {};
      if (held !== null && held !== fleet.held) {
        this.#parts.logger.warn('Fewer processes than wanted', { service: fleet.service, held });
      }
      fleet.held = held;
      if (replicas === fleet.replicas) return [];
      fleet.replicas = replicas;
      return [fleet.service];
    });
  }

  async #rebalance(): Promise<void> {
    for (const service of this.#balance()) void this.#fit(service);
    await this.#save();
  }

  /** Starts or stops as many processes as it takes; resolves when that is written down. */
  #fit(service: ServiceName): Promise<void> {
    const fleet = this.#fleet(service);
    for (let count = fleet.active().length; count < fleet.replicas; count += 1) this.#add(service);
    this.#shrink(fleet);
    return this.#save();
  }

  /** Stops what runs another build, then the highest numbers, beyond what is wanted. */
  #shrink(fleet: Fleet): void {
    const { id } = this.#parts.builds.wanted(fleet.service);
    const [right, others] = [true, false].map((isRight) =>
      fleet.active().filter(({ build }) => (build.id === id) === isRight),
    );
    for (const slot of [...(right ?? []), ...(others ?? [])].slice(fleet.replicas)) {
      void this.#remove(fleet, slot);
    }
  }

  #add(service: ServiceName, from: AddOptions = {}): Slot {
    const { builds, spawn, graceMs, memoryMax, clock, logger, metrics, failPoints } = this.#parts;
    const fleet = this.#fleet(service);
    const { build = builds.wanted(service), adopted, slot: number = lowestFree(fleet.slots) } = from;
    const slot = new Slot(
      {
        service,
        number,
        build,
        spawn: () => spawn(service, number, build),
        graceMs,
        memoryMax: memoryMax(service),
        clock,
        logger,
        metrics,
        failPoints,
        changed: () => void this.#save(),
      },
      adopted,
    );
    fleet.slots.add(slot);
    return slot;
  }

  async #remove(fleet: Fleet, slot: Slot): Promise<void> {
    await slot.stop();
    fleet.slots.delete(slot);
    if (!this.#isStopping) await this.#rebalance();
    else await this.#save();
  }

  async #replaceAll(service: ServiceName, fleet: Fleet): Promise<void> {
    for (const old of fleet.active()) {
      if (this.#isStopping) return;
      const fresh = this.#add(service);
      const isReady = await fresh.becameReady;
      if (this.#isStopping) return;
      if (!isReady) {
        fleet.problem = `The new process did not become ready; see 'tandem logs ${service}'`;
        await this.#remove(fleet, fresh);
        return;
      }
      await this.#remove(fleet, old);
    }
  }

  #save(): Promise<void> {
    return this.#parts.file.write(this.state());
  }
}

interface AddOptions {
  readonly slot?: number;
  /** Default: what the service is to run. */
  readonly build?: Build;
  readonly adopted?: Adopted;
}

/** The processes of a service while a deployment replaces them. */
export interface LentFleet extends RolloutFleet<Slot> {
  giveBack(): void;
}

function lowestFree(slots: ReadonlySet<Slot>): number {
  const taken = new Set([...slots].map(({ number }) => number));
  let number = 1;
  while (taken.has(number)) number += 1;
  return number;
}
