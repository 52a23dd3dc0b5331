import { PlatformError, type Positions, sourceTopic } from '../../contract/index.ts';
import type { RecordBatch, ServiceHost } from '../../runtime/index.ts';
import type { FeaturesOptions } from './options.ts';
import type { SourcePlan } from './plan.ts';
import type { StateHost } from './state/state-host.ts';

/** Most records in one read of the log. */
const READ_RECORDS_MAX = 4_000;
/** The same while it is behind: fewer questions to the store, and the next one is asked before the records are applied. */
const BEHIND_RECORDS_MAX = 16_000;
/** How long a read waits for records, in milliseconds. */
const READ_WAIT_MS = 2_000;
/** Pauses after a failed read, in milliseconds: doubled up to the maximum. */
const PAUSE_MS_MIN = 100;
const PAUSE_MS_MAX = 2_000;

/** Records that were asked for while those before them were still to be applied. */
interface Ahead {
  readonly from: number;
  readonly batches: Promise<RecordBatch[]>;
}

interface Waiter {
  readonly positions: Positions;
  readonly resolve: () => void;
}

/** Applies what the archive has of a partition beyond the state's position. */
type FromArchive = (plan: SourcePlan, partition: number) => Promise<void>;

/** Feeds the online state from the log: every partition of every source, from where the state is. */
export class Feed {
  readonly #host: ServiceHost<FeaturesOptions>;
  readonly #state: StateHost;
  readonly #stopping = new AbortController();
  /** Ends the waits for records that are under way. */
  #waits = new AbortController();
  readonly #loops: Promise<void>[] = [];
  readonly #behind = new Set<string>();
  #waiters: Waiter[] = [];
  readonly #fromArchive: FromArchive;
  #isStarted = false;
  /** Records applied since the start of the process. */
  applied = 0;

  constructor(host: ServiceHost<FeaturesOptions>, state: StateHost, fromArchive: FromArchive) {
    this.#host = host;
    this.#state = state;
    this.#fromArchive = fromArchive;
  }

  /** Whether every partition has been read to its end at least once. */
  get caughtUp(): boolean {
    return this.#isStarted && this.#behind.size === 0;
  }

  start(): void {
    this.#isStarted = true;
    for (const plan of this.#state.plan.sources.values()) {
      const count = this.#state.positions(plan.source.name).length;
      for (let partition = 0; partition < count; partition += 1) {
        this.#behind.add(`${plan.source.name}/${String(partition)}`);
        this.#loops.push(this.#follow(plan, partition));
      }
    }
  }

  /** Reads the log from where the state is now. */
  again(): void {
    if (this.#stopping.signal.aborted) return;
    this.#waits.abort();
    this.#waits = new AbortController();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#waits.abort();
    await Promise.all(this.#loops);
  }

  /** Resolves when the state has applied everything below `positions`. Rejects with DEADLINE_EXCEEDED. */
  async waitFor(positions: Positions, waitMs: number): Promise<void> {
    if (this.#reached(positions)) return;
    let waiter: Waiter | undefined;
    const reached = new Promise<void>((resolve) => {
      waiter = { positions, resolve };
      this.#waiters.push(waiter);
    });
    const timeout = new AbortController();
    await Promise.race([reached, this.#host.clock.sleep(waitMs, timeout.signal)]);
    timeout.abort();
    this.#waiters = this.#waiters.filter((item) => item !== waiter);
    if (this.#reached(positions)) return;
    throw new PlatformError(
      'DEADLINE_EXCEEDED',
      `The state did not reach the positions within ${String(waitMs)} ms`,
      {
        details: { wanted: positions },
      },
    );
  }

  #reached(positions: Positions): boolean {
    return Object.entries(positions).every(([source, wanted]) => {
      const reached = this.#state.positions(source);
      return wanted.every((offset, partition) => (reached[partition] ?? 0) >= offset);
    });
  }

  async #follow(plan: SourcePlan, partition: number): Promise<void> {
    const { log, logger, clock, metrics, failPoints } = this.#host;
    const { signal } = this.#stopping;
    const source = plan.source.name;
    const failures = metrics.counter('read_failures_total', 'Failed reads of the log', ['source']);
    const name = `${source}/${String(partition)}`;
    const read = (from: number): Promise<RecordBatch[]> => {
      const isBehind = this.#behind.has(name);
      const maxRecords = isBehind ? BEHIND_RECORDS_MAX : READ_RECORDS_MAX;
      const options = { maxRecords, waitMs: isBehind ? 0 : READ_WAIT_MS, signal: this.#waits.signal };
      return log.read(sourceTopic(source), partition, from, options);
    };
    let ahead: Ahead | undefined;
    let pauseMs = PAUSE_MS_MIN;
    while (!signal.aborted) {
      try {
        const from = this.#state.next(source, partition);
        const asked = ahead?.from === from ? ahead.batches : read(from);
        ahead = undefined;
        const batches = await asked;
        const last = batches.at(-1);
        if (last === undefined) this.#behind.delete(name);
        else if (this.#behind.has(name)) {
          const next = last.base + last.count;
          ahead = { from: next, batches: read(next) };
          // Whoever comes to it finds out; until then nobody waits for it.
          ahead.batches.catch(() => undefined);
        }
        for (const batch of batches) {
          await failPoints.pass('features.apply.before');
          await this.#applyBatch(plan, batch);
        }
        pauseMs = PAUSE_MS_MIN;
      } catch (error) {
        if (signal.aborted) return;
        if (await this.#caughtByArchive(plan, partition, error)) continue;
        failures.add(1, { source });
        logger.warn('the log could not be read; values stay as they are', {
          source,
          partition,
          error: String(error),
        });
        await clock.sleep(pauseMs, signal);
        pauseMs = Math.min(pauseMs * 2, PAUSE_MS_MAX);
      }
    }
  }

  /** Retention can overtake one that has a long way to go: what it dropped is in the archive. */
  async #caughtByArchive(plan: SourcePlan, partition: number, error: unknown): Promise<boolean> {
    if (!PlatformError.is(error) || error.code !== 'OFFSET_OUT_OF_RANGE') return false;
    const before = this.#state.next(plan.source.name, partition);
    try {
      await this.#fromArchive(plan, partition);
    } catch (cause) {
      this.#host.logger.warn('the archive could not be applied', { cause: String(cause), partition });
    }
    return this.#state.next(plan.source.name, partition) > before;
  }

  async #applyBatch(plan: SourcePlan, batch: RecordBatch): Promise<void> {
    const { clock, options } = this.#host;
    const state = this.#state;
    const source = plan.source.name;
    if (options.clock === 'wall') state.advance(clock.now());
    const before = state.next(source, batch.partition);
    const startedAt = clock.monotonic();
    await state.apply(source, batch);
    this.#note(plan, batch, startedAt);
    this.noteApplied(Math.max(0, state.next(source, batch.partition) - before));
  }

  /** Counts records that were applied, here or from the archive, and wakes who waits for them. */
  noteApplied(records: number): void {
    this.applied += records;
    this.#wake();
  }

  /** Ties a batch to the traces that its records came in, of which there are mostly none. */
  #note(plan: SourcePlan, batch: RecordBatch, startedAt: number): void {
    const { traceparents: links = [], partition, count } = batch;
    if (links.length === 0) return;
    const attributes = {
      'messaging.system': 'tandem',
      'messaging.operation.type': 'process',
      'messaging.destination.name': sourceTopic(plan.source.name),
      'messaging.destination.partition.id': String(partition),
      'messaging.batch.message_count': count,
    };
    this.#host.trace.done('apply batch', startedAt, { links, attributes });
  }

  #wake(): void {
    if (this.#waiters.length === 0) return;
    const waiting: Waiter[] = [];
    for (const waiter of this.#waiters) {
      if (this.#reached(waiter.positions)) waiter.resolve();
      else waiting.push(waiter);
    }
    this.#waiters = waiting;
  }
}
