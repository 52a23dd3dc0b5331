import { PlatformError, routes, type Schedule, sourceTopic } from '../../contract/index.ts';
import { trainablesOf } from '../../define/index.ts';
import type { ServiceHost } from '../../runtime/index.ts';
import type { GatewayOptions } from './options.ts';

/** The channel on which train says that its schedules changed. */
const SCHEDULES_SIGNAL = 'train_schedules';

/** Times of waking train, in milliseconds. */
const TIMES = {
  /** How often it is looked whether something is due. */
  lookMs: 1_000,
  /** Least time between two calls of train. */
  callMs: 5_000,
  /** How often outcomes are counted. */
  countMs: 60_000,
  /** What is known for longer is doubted: of a schedule that was resumed the signal may be lost. */
  oldMs: 3_600_000,
  /** How long train may stay away before that is worth a warning: it takes a while to start. */
  awayMs: 60_000,
} as const;

/**
 * Wakes train when one of its schedules is due: train may have no process, and then nobody there looks at the clock. A call is
 * enough, for a service for which calls wait gets a process, and a process of train queues what is due. What is due
 * is for train to decide; this only remembers what it said last. It does not ask in vain, for a process that is asked again
 * and again has something to do, and stays.
 */
export class TrainWaker {
  readonly #host: ServiceHost<GatewayOptions>;
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  #known: readonly Schedule[] = [];
  #calledMs = -Infinity;
  #countedMs = -Infinity;
  #isStale = true;
  #awayMs: number | undefined;
  #isWarned = false;

  constructor(host: ServiceHost<GatewayOptions>) {
    this.#host = host;
  }

  /** Does nothing for an app without rules. */
  start(): void {
    const { app } = this.#host;
    if (trainablesOf(app).some(({ retrain }) => retrain.length > 0)) this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { clock, signals } = this.#host;
    const { signal } = this.#stopping;
    const unsubscribe = signals.subscribe(SCHEDULES_SIGNAL, () => {
      this.#isStale = true;
      // At once: now train has a process, later the same call could wake one.
      this.#calledMs = -Infinity;
    });
    while (!signal.aborted) {
      if (clock.monotonic() - this.#calledMs >= TIMES.callMs) await this.#look();
      await clock.sleep(TIMES.lookMs, signal);
    }
    unsubscribe();
  }

  async #look(): Promise<void> {
    const { call, clock, logger } = this.#host;
    try {
      if (!this.#isStale && !(await this.#isDue())) return;
      this.#calledMs = clock.monotonic();
      const nothing = { params: {}, query: {}, body: {} };
      const { signal } = this.#stopping;
      this.#isStale = false;
      ({ schedules: this.#known } = await call(routes.listSchedules, nothing, { signal }));
      if (this.#isWarned) logger.info('Train was woken for its schedules');
      this.#awayMs = undefined;
      this.#isWarned = false;
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      this.#isStale = true;
      this.#awayMs ??= clock.monotonic();
      if (this.#isWarned || clock.monotonic() - this.#awayMs < TIMES.awayMs) return;
      logger.warn('Train could not be woken for its schedules', { error });
      this.#isWarned = true;
    }
  }

  async #isDue(): Promise<boolean> {
    const { clock } = this.#host;
    const now = clock.now();
    const isOld = clock.monotonic() - this.#calledMs >= TIMES.oldMs;
    const rules = this.#known.flatMap(({ pausedAt, notBefore, rules: all }) =>
      (isOld || pausedAt === null) && (notBefore ?? -Infinity) <= now ? all : [],
    );
    if (rules.some(({ isDue, nextDueAt }) => isDue || (nextDueAt !== null && nextDueAt <= now))) return true;
    if (clock.monotonic() - this.#countedMs < TIMES.countMs) return false;
    this.#countedMs = clock.monotonic();
    for (const { labels } of rules) {
      if (labels !== null && (await this.#count(labels.source)) >= labels.dueAt) return true;
    }
    return false;
  }

  async #count(source: string): Promise<number> {
    try {
      const ranges = await this.#host.log.ranges(sourceTopic(source));
      return ranges.reduce((sum, { next }) => sum + next, 0);
    } catch (error) {
      if (PlatformError.is(error) && error.code === 'TOPIC_NOT_FOUND') return 0;
      throw error;
    }
  }
}
