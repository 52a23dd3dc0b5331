import { type GateVerdict, PlatformError, type Run, type SearchStatus } from '../../contract/index.ts';
import type { Clock, Tables } from '../../runtime/index.ts';
import { findRun, type RunClaim, setProgress } from './run-store.ts';
import { type StepName, type StepStatus, waitingSteps } from './steps.ts';

/** Least time between two writes of a run's progress, in milliseconds: four a second. */
const WRITE_MS = 250;

type Patch = Partial<Omit<StepStatus, 'name'>>;

/**
 * What is known of a run while it runs. Changes are kept in memory and written a few times a second; a write
 * that fails is made up for by the next one. A write that finds the run taken over or cancelled aborts {@link
 * fenced}.
 */
export class RunProgress {
  readonly #tables: Tables;
  readonly #clock: Clock;
  readonly #claim: RunClaim;
  readonly #steps: StepStatus[] = waitingSteps();
  readonly #fence = new AbortController();
  readonly #end = new AbortController();
  #search: SearchStatus | null;
  #metrics: Run['metrics'] = {};
  #gates: readonly GateVerdict[] = [];
  #changed = true;
  #writtenAtMs = Number.NEGATIVE_INFINITY;
  #writing: Promise<void> | undefined;

  /** `search` is how the run's search stands, if it has one. */
  constructor(
    { tables, clock }: { readonly tables: Tables; readonly clock: Clock },
    claim: RunClaim,
    search: SearchStatus | null = null,
  ) {
    this.#tables = tables;
    this.#clock = clock;
    this.#claim = claim;
    this.#search = search;
  }

  /** Aborted when this attempt may no longer write to the run. */
  get fenced(): AbortSignal {
    return this.#fence.signal;
  }

  step(name: StepName, patch: Patch): void {
    const index = this.#steps.findIndex((step) => step.name === name);
    const step = this.#steps[index];
    if (step === undefined) return;
    this.#steps[index] = { ...step, ...patch };
    this.#change();
  }

  /** Of a run without a search it does nothing. */
  search(patch: Partial<SearchStatus>): void {
    if (this.#search === null) return;
    this.#search = { ...this.#search, ...patch };
    this.#change();
  }

  /** Marks the step that runs as waiting or failed: the attempt is over. */
  interrupt(state: 'waiting' | 'failed'): void {
    if (this.#search?.state === 'running') this.search({ state });
    for (const { name, state: now } of this.#steps) if (now === 'running') this.step(name, { state });
  }

  metrics(metrics: Run['metrics']): void {
    this.#metrics = { ...this.#metrics, ...metrics };
    this.#change();
  }

  gates(gates: readonly GateVerdict[]): void {
    this.#gates = gates;
    this.#change();
  }

  /** Looks whether this attempt still holds the run. */
  async check(): Promise<void> {
    const run = await findRun(this.#tables, this.#claim.id).catch(() => undefined);
    if (run === undefined || (run.state === 'running' && run.epoch === this.#claim.epoch)) return;
    this.#fence.abort(new PlatformError('FENCED', `Run ${run.id} is ${run.state}`));
  }

  /** Ends the writing with a last one, whose failure is the caller's. */
  async close(): Promise<void> {
    this.#end.abort();
    await this.#writing;
    if (!this.fenced.aborted) await this.#write();
  }

  #change(): void {
    this.#changed = true;
    this.#writing ??= this.#writeSoon();
  }

  async #writeSoon(): Promise<void> {
    while (this.#changed && !this.fenced.aborted && !this.#end.signal.aborted) {
      const waitMs = this.#writtenAtMs + WRITE_MS - this.#clock.monotonic();
      await this.#clock.sleep(Math.max(0, waitMs), this.#end.signal);
      if (this.#end.signal.aborted) return;
      await this.#write().catch(() => {
        this.#changed = true;
      });
    }
    // Not in a callback: a change that comes after the look at `#changed` must find the way free.
    this.#writing = undefined;
  }

  async #write(): Promise<void> {
    this.#changed = false;
    this.#writtenAtMs = this.#clock.monotonic();
    try {
      await setProgress(this.#tables, this.#claim, {
        steps: this.#steps,
        search: this.#search,
        metrics: this.#metrics,
        gates: [...this.#gates],
      });
    } catch (error) {
      if (PlatformError.is(error) && error.code === 'FENCED') this.#fence.abort(error);
      throw error;
    }
  }
}
