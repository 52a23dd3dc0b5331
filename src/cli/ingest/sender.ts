import {
  type IngestResult,
  PlatformError,
  type Positions,
  type RecordResult,
  routes,
} from '../../contract/index.ts';
import { BytesBody } from '../../runtime/call.ts';
import type { Caller, Clock, Random } from '../../runtime/index.ts';
import type { RecordBatch, RecordPlace } from './cut-batches.ts';

/** How long one batch may take, in milliseconds. */
const BATCH_MS = 120_000;
/** Pause before a batch that was refused is sent again, in milliseconds; it doubles up to the longest one. */
const PAUSE_MS = 1_000;
const PAUSE_MS_MAX = 30_000;
/** Quarantined records that a summary shows. */
const SHOWN_MAX = 5;

/** What became of the records that were sent. */
export interface Totals {
  accepted: number;
  quarantined: number;
  positions: Record<string, number[]>;
  /** How many records were quarantined for which reason: `FIELD_TYPE amount`. */
  readonly reasons: Map<string, number>;
  readonly examples: Extract<RecordResult, { status: 'quarantined' }>[];
}

export function emptyTotals(): Totals {
  return { accepted: 0, quarantined: 0, positions: {}, reasons: new Map(), examples: [] };
}

export interface SenderOptions {
  readonly call: Caller;
  readonly clock: Clock;
  readonly random: Random;
  readonly source: string;
  readonly mediaType: string;
  /** Batches on their way at a time; with more than one, events of a key may change places. */
  readonly parallel: number;
  /** How long to go on without a success, in milliseconds. */
  readonly giveUpMs: number;
  /** Ends the waiting between tries. */
  readonly signal: AbortSignal;
  /** Told when everything before a place is durable. */
  readonly onDone: (end: RecordPlace, result: IngestResult) => Promise<void>;
  /** Told why nothing moves. */
  readonly onWait: (error: PlatformError, pauseMs: number) => void;
}

/** A batch on its way. */
interface Sending {
  readonly batch: RecordBatch;
  readonly result: Promise<IngestResult>;
}

/** Sends batches, some at a time, and says in their order that they are durable. A server that has too much to do is waited for. */
export class Sender {
  readonly #options: SenderOptions;
  readonly #totals: Totals;
  readonly #sending: Sending[] = [];
  #lastSuccessMs: number;

  constructor(options: SenderOptions, totals: Totals) {
    this.#options = options;
    this.#totals = totals;
    this.#lastSuccessMs = options.clock.monotonic();
  }

  /** Begins to send a batch as soon as there is room. Rejects with the failure of an earlier one. */
  async send(batch: RecordBatch, firstRecord: number): Promise<void> {
    while (this.#sending.length >= this.#options.parallel) await this.#settleFirst();
    const result = this.#deliver(batch).then((answer) => {
      this.#add(answer, firstRecord);
      return answer;
    });
    result.catch(() => undefined);
    this.#sending.push({ batch, result });
  }

  /** Waits for everything on its way. */
  async finish(): Promise<void> {
    while (this.#sending.length > 0) await this.#settleFirst();
  }

  async #settleFirst(): Promise<void> {
    const first = this.#sending.shift();
    if (first === undefined) return;
    const result = await first.result;
    await this.#options.onDone(first.batch.end, result);
  }

  /** A batch may be sent again whatever became of it: its events are known by their ids. */
  async #deliver(batch: RecordBatch): Promise<IngestResult> {
    const { call, clock, source, mediaType, signal, giveUpMs } = this.#options;
    for (let attempt = 0; ; attempt += 1) {
      try {
        const body = new BytesBody(mediaType, batch.bytes);
        const result = await call(
          routes.ingestEvents,
          { params: { source }, query: { results: 'quarantined' }, body },
          { timeoutMs: BATCH_MS },
        );
        this.#lastSuccessMs = clock.monotonic();
        return result;
      } catch (error) {
        if (!PlatformError.is(error) || !error.retryable || signal.aborted) throw error;
        const pauseMs = this.#pauseMs(error, attempt);
        if (clock.monotonic() + pauseMs - this.#lastSuccessMs > giveUpMs) throw error;
        this.#options.onWait(error, pauseMs);
        await clock.sleep(pauseMs, signal);
        if (signal.aborted) throw error;
      }
    }
  }

  /** What the server asked for, but ever longer while it goes on refusing. */
  #pauseMs(error: PlatformError, attempt: number): number {
    const grown = Math.min(PAUSE_MS_MAX, PAUSE_MS * 2 ** attempt);
    const asked = error.details?.['retryAfterMs'];
    const least = typeof asked === 'number' ? asked : 0;
    return Math.max(least, grown * (0.5 + this.#options.random.float() / 2));
  }

  #add(result: IngestResult, first: number): void {
    const totals = this.#totals;
    totals.accepted += result.accepted;
    totals.quarantined += result.quarantined;
    mergePositions(totals.positions, result.positions);
    for (const record of result.results) {
      if (record.status !== 'quarantined') continue;
      const reason = record.field === undefined ? record.code : `${record.code} ${record.field}`;
      totals.reasons.set(reason, (totals.reasons.get(reason) ?? 0) + 1);
      if (totals.examples.length < SHOWN_MAX)
        totals.examples.push({ ...record, index: first + record.index });
    }
  }
}

function mergePositions(into: Record<string, number[]>, positions: Positions): void {
  for (const [source, offsets] of Object.entries(positions)) {
    const known = into[source] ?? [];
    into[source] = offsets.map((offset, partition) => Math.max(offset, known[partition] ?? 0));
  }
}
