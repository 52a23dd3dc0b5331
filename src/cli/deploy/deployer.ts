import { type BuildContract, PlatformError, type ServiceName } from '../../contract/index.ts';
import { SERVICE_NAMES } from '../../contract/route.ts';
import type { Clock, Logger } from '../../runtime/index.ts';
import { ask, type Shown } from '../ask.ts';
import type { LentFleet, Supervisor } from '../supervisor/supervisor.ts';
import { type Build, buildName, composeBuild } from './build.ts';
import type { BuildStore } from './build-store.ts';
import type { Deployed } from './deployed.ts';
import { type Deployment, isMoving } from './deployment.ts';
import { type Described, describeContract } from './describe.ts';
import { ROLLOUT_TIMES } from './limits.ts';
import { orderSteps, type PlannedStep } from './plan.ts';
import { rollOut, type RolloutEnd } from './rollout.ts';

/** What somebody wants to be deployed. */
export interface DeployOrder {
  readonly services: readonly ServiceName[];
  /** Digest of a stored build; `null` for what ran before. */
  readonly digest: string | null;
  /** Whether to look only whether it could be. */
  readonly check: boolean;
}

export interface DeployerParts {
  readonly supervisor: Supervisor;
  readonly builds: Deployed;
  readonly store: BuildStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told whenever {@link Deployed} is another. */
  readonly changed: () => void;
  /** What processes are shown that are asked how they are. Default: nothing. */
  readonly shown?: Shown;
}

interface Converging {
  /** Why the deployment is taken back; `null` when it is finished. */
  readonly reason: string | null;
  readonly fleet: LentFleet;
}

/** How often a process is looked at after a roll-out, in milliseconds. */
const PROBATION_LOOK_MS = 500;

/** Rolls services to other builds, each of them by itself, and back when they fail. */
export class Deployer {
  readonly #parts: DeployerParts;
  readonly #stopping = new AbortController();
  readonly #work = new Set<Promise<void>>();
  readonly #contracts = new Map<string, Described>();
  /** One order is looked into at a time: what it finds must still hold when it begins. */
  #orders: Promise<unknown> = Promise.resolve();

  constructor(parts: DeployerParts) {
    this.#parts = parts;
  }

  /**
   * Begins to roll the services, in an order in which nothing breaks; the state says how far it is. Rejects with
   * CONFIGURATION (no such build), CONFLICT (one is deployed already, or there is nothing to do) and BUILD_INCOMPATIBLE.
   */
  order(order: DeployOrder): Promise<void> {
    const done = this.#orders.then(() => this.#begin(order));
    this.#orders = done.catch(() => undefined);
    return done;
  }

  /** Goes on with, or takes back, what a supervisor that ended left in the middle. */
  async resume(): Promise<void> {
    const { builds, supervisor } = this.#parts;
    for (const service of SERVICE_NAMES) {
      const deployment = builds.deployment(service);
      if (deployment?.phase === 'probation') await this.#note(service, deployment, 'done');
      if (!isMoving(deployment)) continue;
      const isForward = deployment.phase === 'replacing';
      const reason = isForward ? null : 'the supervisor ended in the middle of it';
      const { id } = builds.wanted(service);
      const isThere = supervisor.active(service).every(({ build }) => build.id === id);
      if (isThere) await this.#note(service, deployment, isForward ? 'done' : 'rolled back', reason);
      else this.#run(() => this.#converge(service, deployment, { reason, fleet: supervisor.lend(service) }));
    }
  }

  /** Leaves what is under way as it is, for the next supervisor. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#orders;
    await Promise.all(this.#work);
  }

  async #begin({ services, digest, check }: DeployOrder): Promise<void> {
    const { builds, supervisor } = this.#parts;
    const targets = await this.#targets(services, digest);
    const steps = await this.#plan(targets);
    if (check || this.#stopping.signal.aborted) return;
    const lent: LentFleet[] = [];
    try {
      for (const { service } of steps) lent.push(supervisor.lend(service));
    } catch (error) {
      for (const fleet of lent) fleet.giveBack();
      throw error;
    }
    for (const { service, from, to } of steps) {
      const deployment: Deployment = { from, to, phase: 'waiting', reason: null, at: 0 };
      await builds.set(service, { build: from });
      await this.#note(service, deployment, 'waiting');
    }
    this.#run(() => this.#rollAll(steps, lent));
  }

  async #targets(services: readonly ServiceName[], digest: string | null): Promise<PlannedStep[]> {
    const { builds, store } = this.#parts;
    const part = digest === null ? undefined : await store.find(digest);
    if (digest !== null && part === undefined) {
      throw new PlatformError('CONFIGURATION', `There is no stored build ${digest}`);
    }
    const steps: PlannedStep[] = [];
    for (const service of new Set(services)) {
      const from = builds.wanted(service);
      if (isMoving(builds.deployment(service))) {
        throw new PlatformError('CONFLICT', `${service} is being deployed; wait for the end of it`);
      }
      const to = part === undefined ? builds.previous(service) : composeBuild(from, part);
      if (to === null) throw new PlatformError('CONFLICT', `${service} has not run another build before`);
      if (to.id === from.id) throw new PlatformError('CONFLICT', `${service} runs ${buildName(to)} already`);
      await store.assertUnchanged(to.parts);
      steps.push({ service, from, to });
    }
    return steps;
  }

  async #plan(steps: readonly PlannedStep[]): Promise<readonly PlannedStep[]> {
    const running = new Map<ServiceName, readonly Build[]>();
    const contracts = new Map<string, BuildContract>();
    for (const service of SERVICE_NAMES) {
      const all = this.#running(service);
      if (all.length > 0) running.set(service, all);
      for (const build of all) contracts.set(build.id, await this.#contractOf(service, build));
    }
    // A build that was changed in its place is another one: whatever it said before does not count.
    for (const { to } of steps) {
      const { contract } = await describeContract(to);
      contracts.set(to.id, contract);
    }
    return orderSteps({
      steps,
      running,
      partyOf: (service, build) => {
        const contract = contracts.get(build.id);
        if (contract === undefined) throw new TypeError(`The contract of ${build.id} was not asked for`);
        return { service, build: buildName(build), contract };
      },
    });
  }

  /** Builds of the service that run or may: also those that a deployment under way may still bring. */
  #running(service: ServiceName): readonly Build[] {
    const { builds, supervisor } = this.#parts;
    const slots = supervisor.active(service);
    // One at zero comes when there is something to do.
    const mayRun = slots.length > 0 || (supervisor.state().services[service]?.max ?? 0) > 0;
    if (!mayRun) return [];
    const deployment = builds.deployment(service);
    const moving = isMoving(deployment) ? [deployment.from, deployment.to] : [];
    const all = [builds.wanted(service), ...slots.map(({ build }) => build), ...moving];
    return [...new Map(all.map((build) => [build.id, build])).values()];
  }

  /** What a running build says, after checking that its processes say the same. */
  async #contractOf(service: ServiceName, build: Build): Promise<BuildContract> {
    const announced = await this.#announced(service, build);
    const known = this.#contracts.get(build.id);
    if (known !== undefined && (announced === undefined || announced === known.hash)) return known.contract;
    const described = await describeContract(build);
    this.#contracts.set(build.id, described);
    if (announced === undefined || announced === described.hash) return described.contract;
    throw new PlatformError(
      'CONFLICT',
      `The files of ${buildName(build)} have changed since the processes of ${service} started, so that nobody knows ` +
        `what they are compatible with. Run 'tandem restart ${service}' first.`,
    );
  }

  async #announced(service: ServiceName, build: Build): Promise<string | undefined> {
    const slots = this.#parts.supervisor.active(service).filter((slot) => slot.build.id === build.id);
    for (const slot of slots) {
      const { url, state } = slot.record();
      if (state !== 'ready' || url === null) continue;
      try {
        const signal = AbortSignal.timeout(ROLLOUT_TIMES.answerMsMax);
        const { content } = await ask(new URL('/livez?contract', url), { signal, isOwnProcess: true });
        const life = content as { readonly contract?: unknown };
        if (typeof life.contract === 'string') return life.contract;
      } catch {
        // Another one may answer.
      }
    }
    return undefined;
  }

  async #rollAll(steps: readonly PlannedStep[], lent: readonly LentFleet[]): Promise<void> {
    let failed: ServiceName | undefined;
    for (const [index, { service }] of steps.entries()) {
      const fleet = lent[index];
      const deployment = this.#parts.builds.deployment(service);
      if (fleet === undefined || deployment === null) continue;
      if (failed !== undefined) {
        await this.#note(service, deployment, 'left out', `${failed} was rolled back`);
        fleet.giveBack();
        continue;
      }
      const end = await this.#roll(service, deployment, fleet);
      if (end.how === 'interrupted') return;
      if (end.how === 'rolled back') failed = service;
    }
    await this.#parts.store.prune(this.#parts.builds.used());
  }

  async #roll(service: ServiceName, deployment: Deployment, fleet: LentFleet): Promise<RolloutEnd> {
    const { builds, clock, logger } = this.#parts;
    const { from, to } = deployment;
    const facts = { service, from: buildName(from), to: buildName(to) };
    logger.info('Deploying a build', facts);
    const end = await rollOut({
      service,
      from,
      to,
      fleet,
      watched: true,
      shown: this.#parts.shown,
      clock,
      signal: this.#stopping.signal,
      enter: async (phase) => {
        // From here on the old build does not come back but through a roll-back: a supervisor that takes over goes on.
        if (phase === 'replacing') await builds.set(service, { build: to });
        if (phase === 'rolling back') await builds.set(service, { build: from });
        await this.#note(service, deployment, phase);
      },
    });
    switch (end.how) {
      case 'interrupted':
        return end;
      case 'rolled back':
        logger.warn('A build was rolled back', { ...facts, reason: end.reason });
        await this.#note(service, deployment, 'rolled back', end.reason);
        break;
      case 'done':
        logger.info('Deployed a build', facts);
        await builds.set(service, { build: to, previous: from });
        await this.#note(service, deployment, 'probation');
        this.#run(() => this.#onProbation(service, deployment));
    }
    fleet.giveBack();
    return end;
  }

  /** Brings the old build back when a process of the new one ends. */
  async #onProbation(service: ServiceName, deployment: Deployment): Promise<void> {
    const { supervisor, builds, clock } = this.#parts;
    const { signal } = this.#stopping;
    const until = clock.monotonic() + ROLLOUT_TIMES.probationMs;
    const isOurs = (): boolean => {
      const now = builds.deployment(service);
      return now?.phase === 'probation' && now.to.id === deployment.to.id;
    };
    while (clock.monotonic() < until) {
      await clock.sleep(PROBATION_LOOK_MS, signal);
      if (signal.aborted || !isOurs()) return;
      const ended = supervisor
        .active(service)
        .some((slot) => slot.build.id === deployment.to.id && slot.record().restarts > 0);
      const fleet = ended ? this.#tryLend(service) : undefined;
      if (fleet === undefined) continue;
      await builds.set(service, { build: deployment.from, previous: null });
      const reason = 'a process of it ended soon after the roll-out';
      await this.#converge(service, deployment, { reason, fleet });
      return;
    }
    await this.#note(service, deployment, 'done');
  }

  /** `undefined` while somebody else replaces its processes. */
  #tryLend(service: ServiceName): LentFleet | undefined {
    try {
      return this.#parts.supervisor.lend(service);
    } catch {
      return undefined;
    }
  }

  /** Replaces what does not run the wanted build, unwatched: it is one that is known to do. */
  async #converge(
    service: ServiceName,
    deployment: Deployment,
    { reason, fleet }: Converging,
  ): Promise<void> {
    const { builds, clock, logger } = this.#parts;
    const isForward = reason === null;
    const [to, from] = isForward ? [deployment.to, deployment.from] : [deployment.from, deployment.to];
    logger.warn(isForward ? 'Finishing a deployment' : 'Rolling a build back', { service, reason });
    await this.#note(service, deployment, isForward ? 'replacing' : 'rolling back', reason);
    const end = await rollOut({
      service,
      from,
      to,
      fleet,
      watched: false,
      shown: this.#parts.shown,
      clock,
      signal: this.#stopping.signal,
      enter: () => Promise.resolve(),
    });
    if (end.how === 'interrupted') return;
    if (end.how === 'rolled back') {
      logger.error('The wanted build does not run; what runs stays', { service, reason: end.reason });
      await builds.set(service, { build: from, previous: to });
    } else if (isForward) await builds.set(service, { previous: from });
    const isDone = isForward === (end.how === 'done');
    const why = end.how === 'rolled back' ? end.reason : reason;
    await this.#note(service, deployment, isDone ? 'done' : 'rolled back', why);
    fleet.giveBack();
  }

  async #note(
    service: ServiceName,
    deployment: Deployment,
    phase: Deployment['phase'],
    reason: string | null = null,
  ): Promise<void> {
    const { builds, clock, changed } = this.#parts;
    await builds.set(service, { deployment: { ...deployment, phase, reason, at: clock.now() } });
    changed();
  }

  #run(work: () => Promise<void>): void {
    const running = work()
      .catch((error: unknown) => this.#parts.logger.error('A deployment failed unexpectedly', { error }))
      .finally(() => this.#work.delete(running));
    this.#work.add(running);
  }
}
