import { PlatformError, sourceTopic } from '../../contract/index.ts';
import type { Readiness, ServiceHost } from '../../runtime/index.ts';
import type { Archive } from './archive.ts';
import { Feed } from './feed.ts';
import type { FeaturesOptions } from './options.ts';
import type { Ownership } from './ownership/ownership.ts';
import { applyArchive, rebuild, type RebuildParts } from './rebuild.ts';
import type { StateHost } from './state/state-host.ts';

/** Pause before another try after the archive could not be read, in milliseconds. */
const RETRY_MS = 1_000;

/**
 * Brings the state up to the end of the log, in the background: after a start with new definitions that is all of history.
 * Until then no vector is read here, and whoever waits is told how far it is.
 */
export class Backfill {
  readonly feed: Feed;
  readonly #parts: RebuildParts;
  readonly #stopping = new AbortController();
  #work: Promise<void> = Promise.resolve();
  /** Records that the log had when it began. */
  #records = 0;

  constructor(host: ServiceHost<FeaturesOptions>, archive: Archive, state: StateHost) {
    const applied = (records: number): void => this.feed.noteApplied(records);
    this.#parts = { host, archive, state, applied, signal: this.#stopping.signal };
    this.feed = new Feed(host, state, (plan, partition) => applyArchive(this.#parts, plan, [partition]));
  }

  /** Resolves when it has begun. */
  async start(): Promise<void> {
    const { host, state } = this.#parts;
    for (const source of state.plan.sources.keys())
      for (const { next } of await host.log.ranges(sourceTopic(source))) this.#records += next;
    this.#work = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#work;
    await this.feed.stop();
  }

  /** Percent of what the log had at the start; `null` once all of it is applied. */
  get percent(): number | null {
    if (this.feed.caughtUp) return null;
    return this.#records === 0 ? 0 : Math.min(99, Math.floor((100 * this.#applied) / this.#records));
  }

  /** Whether the state can be read, and how far it is if not. */
  readiness(ownership: Ownership): Readiness {
    const { percent } = this;
    if (percent !== null) {
      const how = `${String(percent)} % of ${String(this.#records)} records`;
      return { ready: false, reason: `features are built from the log: ${how}`, progress: this.#applied };
    }
    if (ownership.isReady) return { ready: true };
    const { state } = this.#parts;
    if (state.trouble !== undefined)
      return { ready: false, reason: state.trouble, progress: this.feed.applied };
    const gaps = ownership.held.flatMap(({ partition }) => state.gaps(partition));
    const left = gaps.reduce((sum, { from, to }) => sum + to - from, 0);
    const reason = `state partitions of this replica are being read: ${String(left)} records are left`;
    return { ready: false, reason, progress: left };
  }

  get #applied(): number {
    const { state } = this.#parts;
    let applied = 0;
    for (const source of state.plan.sources.keys())
      for (const position of state.positions(source)) applied += position;
    return applied;
  }

  async #run(): Promise<void> {
    const { host, signal } = this.#parts;
    while (!signal.aborted) {
      try {
        await rebuild(this.#parts);
        await host.failPoints.pass('features.restore.after');
        if (!signal.aborted) this.feed.start();
        return;
      } catch (error) {
        host.logger.warn('The archive cannot be applied; it is tried again', { error: String(error) });
        await host.clock.sleep(RETRY_MS, signal);
      }
    }
  }
}

/** Why a vector that this process does not know cannot be read: replicas of a newer build may have it. */
export async function unknownVector(name: string, ownership: Ownership): Promise<PlatformError> {
  const replicas = await ownership.elsewhere(name).catch(() => []);
  const [known] = replicas;
  if (known === undefined)
    return new PlatformError('VECTOR_NOT_FOUND', `The app defines no vector '${name}'`);
  // One that is done answers: this process is asked by chance.
  if (replicas.some(({ facts }) => facts.backfill === null))
    return new PlatformError('UNAVAILABLE', `Another replica has vector '${name}', this one does not`);
  const percent = Math.max(...replicas.map(({ facts }) => facts.backfill ?? 0));
  return backfillRunning(name, percent);
}

export function backfillRunning(vector: string, percent: number): PlatformError {
  return new PlatformError(
    'BACKFILL_RUNNING',
    `Vector '${vector}' is being built from history: ${String(percent)} % done`,
    { details: { vector, percent } },
  );
}
