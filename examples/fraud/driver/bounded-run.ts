import {
  day,
  Decider,
  grouped,
  type KillDrill,
  type RunAnswer,
  type RunTools,
  versionOf,
} from '@tandem-examples/driver';
import type { ExpectedTable } from '../expected-table.ts';
import { type Transaction, transactionRecord } from '../transaction.ts';
import { Digests } from './digests.ts';
import { HistoryProgress } from './history.ts';
import { RecordSender } from './record-sender.ts';
import { type DisorderOptions, type OutgoingRecord, RecordStream, TRANSACTIONS } from './record-stream.ts';
import { DECISION } from './score.ts';
import { MODELS, type ModelEntry, trainEntry } from './training.ts';
import { type TransactionSource, transactionsUntil } from './transaction-source.ts';
import { ValueComparison } from './value-comparison.ts';

/** Transactions of one chunk once features are compared. */
const CHUNK_TRANSACTIONS = 1_000;
const DECISIONS_AT_ONCE = 32;
const STATUS_MS = 5_000;
/** Name of the app's vector. */
export const VECTOR = 'card';

export interface BoundedPlan {
  readonly source: TransactionSource;
  /** Features are compared from here on; before it lies history. */
  readonly fromMs: number;
  /**
   * When the stream reaches this instant models are trained, and from then on every transaction is decided.
   */
  readonly releaseMs: number;
  /** The stream ends here. */
  readonly toMs: number;
  /** When the labels of all its transactions are known. */
  readonly labelsKnownMs: number;
  readonly disorder: DisorderOptions;
}

export interface BoundedTools extends Pick<RunTools, 'platform' | 'product' | 'timeline'> {
  readonly drill: KillDrill | undefined;
}

/**
 * Sends a bounded stream through the product as it would have happened: history in big requests; then in
 * small ones, after each of which the features of exactly its transactions are read and compared; and, once
 * there is a release, a decision on each transaction before it is sent.
 */
export class BoundedRun {
  readonly #plan: BoundedPlan;
  readonly #tools: BoundedTools;
  readonly #table: ExpectedTable;
  readonly #stream: RecordStream;
  readonly sender: RecordSender;
  readonly decider: Decider;
  readonly online: ValueComparison;
  readonly digests: Digests = new Digests();
  /** The runs that came before the release, by model. */
  readonly runs: Map<ModelEntry, RunAnswer> = new Map();
  #history: HistoryProgress | undefined;
  #chunk: OutgoingRecord[] = [];
  #chunkTransactions = 0;
  #unread: Transaction[] = [];
  #sentUntil = -Infinity;
  #places: ReturnType<typeof ValueComparison.places> | undefined;
  #released = false;
  #latest: Transaction | undefined;
  readonly #began = performance.now();
  #told = this.#began;

  constructor(plan: BoundedPlan, tools: BoundedTools, table: ExpectedTable) {
    this.#plan = plan;
    this.#tools = tools;
    this.#table = table;
    this.#stream = new RecordStream(plan.disorder);
    this.sender = new RecordSender(tools.platform, tools.drill);
    this.decider = new Decider({ ...tools, decision: DECISION, concurrency: DECISIONS_AT_ONCE });
    this.online = new ValueComparison(table);
    this.#history = new HistoryProgress(tools.timeline, this.sender);
  }

  /** Sends everything, the reports that arrive after the last transaction included. */
  async run(): Promise<void> {
    const { source, toMs, disorder } = this.#plan;
    for await (const piece of transactionsUntil(source, toMs)) {
      for (const transaction of piece) {
        this.#stream.add(transaction);
        this.#latest = transaction;
        await this.#takeAll(this.#stream.takeUntil(transaction.time));
      }
    }
    await this.#takeAll(this.#stream.takeUntil(toMs + disorder.shuffleMs));
    await this.#endHistory();
    await this.#sendChunk();
    this.#sentUntil = Infinity;
    // Before the last reports: with them the product's clock goes on by six days, too far to look back.
    await this.#compareReady();
    await this.#takeAll(this.#stream.takeRest());
    await this.#sendChunk();
  }

  async #takeAll(records: Iterable<OutgoingRecord>): Promise<void> {
    for (const record of records) {
      // Most records only join a chunk: waiting for each would cost more than all the rest.
      const busy = this.#take(record);
      if (busy !== undefined) await busy;
    }
  }

  #take(record: OutgoingRecord): Promise<void> | undefined {
    const { fromMs, releaseMs } = this.#plan;
    if (record.sendAt < fromMs) {
      this.#history?.tick();
      return this.sender.push(record);
    }
    if (this.#history === undefined && (this.#released || record.sendAt < releaseMs))
      return this.#join(record);
    return this.#cross(record);
  }

  /** Goes over the end of history, the release, or both. */
  async #cross(record: OutgoingRecord): Promise<void> {
    await this.#endHistory();
    if (!this.#released && record.sendAt >= this.#plan.releaseMs) {
      await this.#sendChunk();
      await this.#release();
      this.#released = true;
    }
    await this.#join(record);
  }

  async #endHistory(): Promise<void> {
    if (this.#history === undefined) return;
    await this.sender.drain();
    this.#history.end();
    this.#tools.timeline.add('history', (performance.now() - this.#began) / 1_000);
    this.#history = undefined;
  }

  #join(record: OutgoingRecord): Promise<void> | undefined {
    this.#chunk.push(record);
    if (record.source === TRANSACTIONS) this.#chunkTransactions += 1;
    return this.#chunkTransactions >= CHUNK_TRANSACTIONS ? this.#sendChunk() : undefined;
  }

  async #sendChunk(): Promise<void> {
    const chunk = this.#chunk;
    const last = chunk.at(-1);
    if (last === undefined) return;
    this.#chunk = [];
    this.#chunkTransactions = 0;
    const { timeline } = this.#tools;
    const fresh = chunk
      .filter((record) => record.source === TRANSACTIONS && !record.copy)
      .map(({ transaction }) => transaction);
    if (this.#released) {
      const undecided = fresh.filter(({ time }) => time >= this.#plan.releaseMs);
      const answers = await timeline.phase('decide', () =>
        this.decider.decideAll(undecided.map(transactionRecord)),
      );
      for (const [index, { id }] of undecided.entries()) {
        const answer = answers[index];
        this.digests.decision(id, answer?.outcome ?? null, answer?.score ?? null);
      }
    }
    await timeline.phase('ingest', () => this.sender.send(chunk));
    this.#unread.push(...fresh.filter(({ id }) => this.#table.rowOf(id) >= 0));
    this.#sentUntil = Math.max(this.#sentUntil, last.sendAt);
    await this.#compareReady();
    this.#status(last.sendAt);
  }

  /** Reads and compares the features of those transactions before which nothing is still to be sent. */
  async #compareReady(): Promise<void> {
    const completeUntil = this.#sentUntil - this.#plan.disorder.shuffleMs;
    const ready = this.#unread.filter(({ time }) => time <= completeUntil);
    this.#unread = this.#unread.filter(({ time }) => time > completeUntil);
    for (let first = 0; first < ready.length; first += CHUNK_TRANSACTIONS) {
      await this.#compare(ready.slice(first, first + CHUNK_TRANSACTIONS));
    }
  }

  async #compare(transactions: readonly Transaction[]): Promise<void> {
    const { platform, timeline } = this.#tools;
    const { names, rows } = await timeline.phase('read', () =>
      platform.readVectors(VECTOR, transactions.map(transactionRecord), this.sender.positions),
    );
    this.#places ??= ValueComparison.places(names);
    if (rows.length !== transactions.length) {
      throw new Error(
        `Vectors of ${String(transactions.length)} transactions were asked for; ${String(rows.length)} came`,
      );
    }
    for (const [index, { id, cents }] of transactions.entries()) {
      this.#table.tellCents(this.#table.rowOf(id), cents);
      this.online.compare(id, rows[index]?.values ?? [], this.#places);
      this.digests.feature(id, rows[index]?.values ?? []);
    }
  }

  /** Trains both models with what is known now and puts the first in charge. */
  async #release(): Promise<void> {
    const { platform, timeline } = this.#tools;
    const asOf = this.#plan.releaseMs;
    timeline.say('train', `with what is known on ${day(asOf)}`);
    for (const entry of MODELS) {
      this.runs.set(
        entry,
        await timeline.phase('train', () => trainEntry(platform, timeline, { entry, asOf })),
      );
    }
    const [entry] = MODELS;
    const run = this.runs.get(entry);
    if (run === undefined) throw new Error(`${entry.model} was not trained`);
    const release = await platform.release(
      DECISION,
      versionOf(entry.model, run),
      'the first model of this run',
    );
    if (this.#latest !== undefined)
      await this.decider.waitForRelease(release.id, transactionRecord(this.#latest));
    timeline.say(
      'release',
      `${release.id}: ${release.model} version ${String(release.version)} answers '${DECISION}'`,
    );
  }

  #status(sendAt: number): void {
    if (performance.now() - this.#told < STATUS_MS) return;
    this.#told = performance.now();
    const { timeline } = this.#tools;
    const { rows, mismatches } = this.online;
    const decided =
      this.decider.latencies.count > 0 ? `, ${grouped(this.decider.latencies.count)} decisions` : '';
    timeline.say(
      'stream',
      `${new Date(sendAt).toISOString().slice(0, 16)}Z: ${grouped(rows)} vectors compared, ` +
        `${grouped(mismatches)} mismatches${decided}`,
    );
  }
}
