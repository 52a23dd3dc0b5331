import {
  type ErrorCode,
  PlatformError,
  positionsOfRow,
  type RowPositions,
  routes,
  type VectorRead,
  type VectorRow,
} from '../../contract/index.ts';
import type { CallContext, Caller, Clock, Trace, TraceScope, RecentSamples } from '../../runtime/index.ts';
import { expired } from './failures.ts';
import type { ServeMetrics } from './metrics.ts';
import type { ServeOptions } from './options.ts';

/** One candidate's part of a read. */
export interface ServedRow {
  readonly hash: string;
  /** What the row was read at. */
  readonly at: RowPositions;
  readonly row: VectorRow;
}

/** The part of a read that belongs to candidates which were given together: all rows are of one read. */
export interface ServedRows {
  /** The whole read. */
  readonly read: VectorRead;
  /** In the order of the candidates. */
  readonly rows: readonly VectorRow[];
}

/** What {@link VectorReads} needs. */
export interface VectorReadsParts {
  readonly vector: string;
  readonly call: Caller;
  readonly clock: Clock;
  readonly trace: Trace;
  readonly metrics: Pick<ServeMetrics, 'queueDepth' | 'batchRows'>;
  /** How long decisions waited for their read to begin, in milliseconds. */
  readonly waits?: RecentSamples;
  readonly limits: Pick<ServeOptions, 'queueMax' | 'batchMax' | 'readsMax'>;
}

interface Waiting {
  readonly candidates: readonly Record<string, unknown>[];
  readonly deadlineMs: number;
  readonly sinceMs: number;
  readonly signal: AbortSignal;
  readonly scope: TraceScope | undefined;
  settle(outcome: ServedRows | PlatformError | Error): void;
}

/**
 * Errors that may be one candidate's fault. Of all others, a second attempt would only learn the same again.
 */
const BLAMES_CANDIDATE: ReadonlySet<ErrorCode> = new Set([
  'BAD_REQUEST',
  'UNPROCESSABLE',
  'BODY_TOO_LARGE',
  'INTERNAL',
]);
/** Share of the newest measurement in the average time of a read. */
const RECENT = 0.2;

/**
 * Reads one vector for many requests at once. A read starts as soon as one is allowed to; while all allowed
 * ones are under way, the next batch collects. So a lone decision never waits, and a crowd shares.
 */
export class VectorReads {
  readonly #parts: VectorReadsParts;
  readonly #queue: Waiting[] = [];
  #underWay = 0;
  #readMs = 0;

  constructor(parts: VectorReadsParts) {
    this.#parts = parts;
  }

  /**
   * Rejects with OVERLOADED (the queue is full, or the deadline cannot be met), DEADLINE_EXCEEDED, and with
   * what the features service answers.
   */
  async read(candidate: Record<string, unknown>, context: CallContext): Promise<ServedRow> {
    const { read, rows } = await this.readAll([candidate], context);
    const row = rows[0];
    if (row === undefined) throw tooFewRows();
    return { hash: read.hash, at: positionsOfRow(read, row), row };
  }

  /**
   * Reads all candidates in one read, which others may share, but which is not split for the number of candidates. There is at
   * least one and there are {@link CANDIDATES_MAX} at most. Rejects as {@link read}.
   */
  readAll(candidates: readonly Record<string, unknown>[], context: CallContext): Promise<ServedRows> {
    const refusal = this.#refusal(context);
    if (refusal !== undefined) return Promise.reject(refusal);
    const { deadlineMs, signal } = context;
    return new Promise((resolve, reject) => {
      const settle = (outcome: ServedRows | Error): void => {
        signal.removeEventListener('abort', giveUp);
        if (outcome instanceof Error) reject(outcome);
        else resolve(outcome);
      };
      const giveUp = (): void => settle(expired());
      signal.addEventListener('abort', giveUp, { once: true });
      const { clock, trace } = this.#parts;
      const sinceMs = clock.monotonic();
      this.#queue.push({ candidates, deadlineMs, sinceMs, signal, scope: trace.scope, settle });
      this.#start();
    });
  }

  #refusal(context: CallContext): PlatformError | undefined {
    const { clock, limits, vector } = this.#parts;
    const leftMs = context.deadlineMs - clock.monotonic();
    if (context.signal.aborted || leftMs <= 0) return expired();
    const details = { vector, waiting: this.#queue.length, queueMax: limits.queueMax };
    if (this.#queue.length >= limits.queueMax) {
      return new PlatformError('OVERLOADED', `${String(limits.queueMax)} decisions wait for '${vector}'`, {
        details,
      });
    }
    if (this.#underWay < limits.readsMax) return undefined;
    const roundsAhead = Math.floor(this.#queue.length / limits.batchMax) / limits.readsMax + 1;
    if (roundsAhead * this.#readMs <= leftMs) return undefined;
    return new PlatformError(
      'OVERLOADED',
      `The deadline cannot be met: too many decisions wait for '${vector}'`,
      {
        details,
      },
    );
  }

  #start(): void {
    const { limits, metrics, trace, vector } = this.#parts;
    while (this.#underWay < limits.readsMax && this.#queue.length > 0) {
      const batch = this.#take();
      // The shared read is a part of the first one's request, whoever happens to start it.
      if (batch.length > 0) void trace.within(batch[0]?.scope, () => this.#run(batch));
    }
    metrics.queueDepth.set(this.#queue.length, { vector });
  }

  /** The next batch, without those that nobody waits for any more. */
  #take(): Waiting[] {
    const { clock, limits, waits } = this.#parts;
    const now = clock.monotonic();
    const batch: Waiting[] = [];
    let room = limits.batchMax;
    let taken = 0;
    for (const waiting of this.#queue) {
      room -= waiting.candidates.length;
      if (room < 0 && taken > 0) break;
      taken += 1;
      waits?.add(now - waiting.sinceMs);
      if (waiting.signal.aborted || waiting.deadlineMs <= now) waiting.settle(expired());
      else batch.push(waiting);
    }
    this.#queue.splice(0, taken);
    return batch;
  }

  async #run(batch: readonly Waiting[]): Promise<void> {
    const { clock, metrics, vector } = this.#parts;
    this.#underWay += 1;
    metrics.batchRows.observe(candidatesIn(batch), { vector });
    const startedAt = clock.monotonic();
    const isAnswered = await this.#read(batch);
    const readMs = clock.monotonic() - startedAt;
    // How long a read waits for a service that is away says nothing of how long it will take when it is back.
    if (isAnswered)
      this.#readMs = this.#readMs === 0 ? readMs : this.#readMs + RECENT * (readMs - this.#readMs);
    this.#underWay -= 1;
    this.#start();
  }

  /** `false` when the service did not answer as it should. */
  async #read(batch: readonly Waiting[]): Promise<boolean> {
    try {
      const read = await this.#call(batch);
      let from = 0;
      for (const waiting of batch) {
        const { length } = waiting.candidates;
        const rows = read.rows.slice(from, from + length);
        from += length;
        waiting.settle(rows.length === length ? { read, rows } : tooFewRows());
      }
      return true;
    } catch (error) {
      if (batch.length > 1 && PlatformError.is(error) && BLAMES_CANDIDATE.has(error.code)) {
        // One bad candidate must not take its neighbours with it: halve until it is alone.
        const middle = batch.length >> 1;
        const answers = [await this.#read(batch.slice(0, middle)), await this.#read(batch.slice(middle))];
        return answers.every(Boolean);
      }
      const outcome = asAnswer(error);
      for (const waiting of batch) waiting.settle(outcome);
      return false;
    }
  }

  #call(batch: readonly Waiting[]): Promise<VectorRead> {
    const { call, clock, vector } = this.#parts;
    const latest = batch.reduce((most, { deadlineMs }) => Math.max(most, deadlineMs), 0);
    const timeoutMs = Math.max(1, Math.ceil(latest - clock.monotonic()));
    const body = {
      candidates: batch.flatMap(({ candidates }) => candidates),
      waitMs: 0,
      atClock: false,
      record: false,
    };
    return call(routes.readVector, { params: { vector }, query: {}, body }, { timeoutMs });
  }
}

function candidatesIn(batch: readonly Waiting[]): number {
  return batch.reduce((sum, { candidates }) => sum + candidates.length, 0);
}

function tooFewRows(): PlatformError {
  return new PlatformError('UNAVAILABLE', 'The features service answered with fewer rows than candidates');
}

/**
 * Not knowing the vector and the like is no fault of who asked for a decision: to him, the service is not
 * available.
 */
function asAnswer(error: unknown): Error {
  if (!PlatformError.is(error)) return error instanceof Error ? error : new Error(String(error));
  if (error.retryable || BLAMES_CANDIDATE.has(error.code)) return error;
  return new PlatformError('UNAVAILABLE', `Features cannot be read: ${error.message}`, { cause: error });
}
