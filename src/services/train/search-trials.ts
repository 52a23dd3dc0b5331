import type { PlatformError, SearchStatus } from '../../contract/index.ts';
import type { InnerTrainer, TrainerSearch } from '../../define/index.ts';
import { restoreSearch, type Search } from '../../ml/index.ts';
import { type Patience, withPatience } from './patience.ts';
import type { RunContext } from './run-context.ts';
import type { SearchFolds } from './search-folds.ts';
import { bestOf, countsOf, type SearchOutcome } from './search-outcome.ts';
import { beginSearch, trainerOf } from './search-plan.ts';
import { beginRunSearch, saveSearch } from './search-store.ts';
import { TrialRequest } from './trial-request.ts';
import type { TrialInput, TrialRecord } from './trial-unit.ts';
import { TrialWaker } from './trial-waker.ts';

/** Least time between two times that what was found is kept, in milliseconds. */
const SAVE_MS = 1_000;

export interface SearchWork {
  readonly trainer: InnerTrainer;
  readonly search: TrainerSearch;
  readonly folds: SearchFolds;
  readonly seed: number;
}

export interface SearchEnd {
  readonly outcome: SearchOutcome;
  /** Processor time of the trials that are done. */
  readonly cpuSeconds: number;
}

/**
 * Asks for trials, has them worked on by whichever processes there are, and is told.
 *
 * The search is told the trials in the order in which it asked for them, and after each of them it asks for one more. So what it asks
 * depends on the seed and on `parallel` alone, never on how many processes there are or which trial ends first. A crash costs nothing
 * that is done either: the search begins anew, asks the same, and finds the records of its trials.
 */
export async function runTrials(context: RunContext, work: SearchWork): Promise<SearchEnd> {
  const { tables, clock } = context.host;
  const startedAt = await beginRunSearch(tables, context.run.id, clock.now());
  using waker = new TrialWaker(context.host.signals);
  return await new Searching(context, work, { startedAt, waker }).toItsEnd();
}

class Searching {
  readonly #context: RunContext;
  readonly #work: SearchWork;
  readonly #begun: { readonly startedAt: number; readonly waker: TrialWaker };
  #search: Search;
  /** Trials that were asked for and are not told, in their order. */
  readonly #open: TrialRequest[] = [];
  readonly #foldScores: Record<string, readonly number[]> = {};
  /** By key, for a search may ask for the same trial twice. */
  readonly #cpuSeconds = new Map<string, number>();
  #ended: SearchOutcome['ended'] = null;
  #savedAtMs = Number.NEGATIVE_INFINITY;

  constructor(
    context: RunContext,
    work: SearchWork,
    begun: { readonly startedAt: number; readonly waker: TrialWaker },
  ) {
    this.#context = context;
    this.#work = work;
    this.#begun = begun;
    this.#search = beginSearch(work.trainer, work.search, work.seed);
  }

  async toItsEnd(): Promise<SearchEnd> {
    for (;;) {
      while (this.#open.length < this.#work.search.parallel && (await this.#askOne()));
      const [oldest] = this.#open;
      if (oldest === undefined) break;
      await this.#show();
      this.#tell(oldest, await oldest.outcome());
      this.#open.shift();
    }
    this.#ended ??= 'trials';
    await this.#show(true);
    const cpuSeconds = [...this.#cpuSeconds.values()].reduce((sum, seconds) => sum + seconds, 0);
    return { outcome: this.#outcome(), cpuSeconds };
  }

  /** Asks for one trial and begins it. `false` when there are no more. */
  async #askOne(): Promise<boolean> {
    if (this.#ended !== null) return false;
    const before = this.#search.state();
    const trial = this.#search.ask();
    if (trial === undefined) return false;
    const { trainer, search, folds, seed } = this.#work;
    const input = {
      folds: folds.folds,
      trainer: trainerOf(trainer, trial),
      metric: search.metric,
      seed,
      ...dealOf(this.#context),
    };
    const { waker } = this.#begun;
    const parts = { ...this.#patience(), run: this.#context.run.id, waker };
    const request = new TrialRequest(parts, trial.number, input);
    // A trial that an earlier attempt at this run began in time counts, so that the attempts agree.
    if (this.#isLate() && !(await request.isBegun())) {
      this.#ended = 'time';
      this.#search = restoreSearch(before);
      return false;
    }
    await request.begin();
    this.#open.push(request);
    return true;
  }

  /** Each look waits anew for who is away: a search can take longer than anybody may be. */
  #patience(): Patience & Pick<RunContext, 'host'> {
    const { host, signal, progress } = this.#context;
    const onWait = ({ code, message }: PlatformError): void =>
      progress.search({ note: `waiting: ${code}, ${message}` });
    return { host, signal, onWait };
  }

  #isLate(): boolean {
    const { withinMs } = this.#work.search;
    return withinMs !== undefined && this.#context.host.clock.now() - this.#begun.startedAt > withinMs;
  }

  #tell({ number, key }: TrialRequest, came: TrialRecord): void {
    if ('error' in came) {
      const { host, run } = this.#context;
      host.logger.warn('trial failed', { run: run.id, trial: number, error: came.error });
      this.#search.tell({ number, error: came.error });
      return;
    }
    this.#search.tell({ number, score: came.score });
    this.#foldScores[number] = came.folds;
    this.#cpuSeconds.set(key, came.cpuSeconds);
  }

  /** Says how far the search is, and keeps what it found for those who look. */
  async #show(isLast = false): Promise<void> {
    const { host, run, progress } = this.#context;
    const outcome = this.#outcome();
    progress.search(progressOf(outcome));
    if (!isLast && host.clock.monotonic() - this.#savedAtMs < SAVE_MS) return;
    this.#savedAtMs = host.clock.monotonic();
    await withPatience(this.#patience(), () => saveSearch(host.tables, run, outcome));
  }

  #outcome(): SearchOutcome {
    const { model } = this.#context;
    const { search, folds } = this.#work;
    return {
      form: 1,
      model: model.name,
      metric: search.metric,
      folds: folds.notes,
      isApart: model.split.kind === 'time',
      ended: this.#ended,
      search: this.#search.state(),
      foldScores: { ...this.#foldScores },
    };
  }
}

/** `12 of 40 trials, best averagePrecision 0.6710` */
function progressOf(outcome: SearchOutcome): Partial<SearchStatus> {
  const { done, failed } = countsOf(outcome);
  const best = bestOf(outcome);
  const planned = outcome.search.plan.trialsMax;
  const failures = failed === 0 ? '' : `, ${failed} failed`;
  const score = best === null ? '' : `, best ${outcome.metric} ${best.score.toFixed(4)}`;
  return {
    progress: (done + failed) / planned,
    note: `${done + failed} of ${planned} trials${failures}${score}`,
    trials: { planned, done, failed },
    best: best === null ? null : { ...best, parameters: { ...best.parameters } },
  };
}

/** Rows that are judged by folds are dealt at random to be calibrated too; those that are judged in time, in blocks of time. */
function dealOf({ model: { split } }: RunContext): Pick<TrialInput, 'deal'> {
  return split.kind === 'folds' ? { deal: 'random' } : {};
}
