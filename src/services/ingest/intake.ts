import { type IngestResult, PlatformError, type RecordResult, type Rejection } from '../../contract/index.ts';
import type { CallContext } from '../../runtime/index.ts';
import { acceptedResults, type Appended, Batch, settleAll, Tally } from './batch.ts';
import type { BodyWatch } from './body.ts';
import type { IngestContext } from './context.ts';
import { insertRefused } from './quarantine.ts';
import type { SourceContract } from './record.ts';

export interface IntakeOptions {
  /** Whether the answer lists accepted records too. */
  readonly listAccepted: boolean;
  readonly call: CallContext;
}

/**
 * Takes the records of one request, checks them and stores them in batches: while one batch is being stored the next one
 * is read, and no more, so that a slow store slows the sender down. Batches follow each other, so the records of a key
 * keep their order, and after a failure nothing later is stored.
 */
export class Intake {
  readonly contract: SourceContract;
  readonly #context: IngestContext;
  readonly #options: IntakeOptions;
  readonly #tally: Tally;
  readonly #results: RecordResult[] = [];
  #batch: Batch;
  #storing: Promise<void> = Promise.resolve();
  /** Records before this place are in the log or in quarantine. */
  #done = 0;
  #refused = 0;
  #failed = false;
  /** Bytes of the body that are held until the end. */
  #wholeBytes = 0;
  #now: number;

  constructor(context: IngestContext, contract: SourceContract, options: IntakeOptions) {
    this.contract = contract;
    this.#context = context;
    this.#options = options;
    this.#tally = new Tally(contract);
    this.#batch = new Batch(contract, 0);
    this.#now = context.host.clock.now();
  }

  /** How many records came. */
  get records(): number {
    return this.#batch.next;
  }

  /** Whether {@link Intake.store} must be called before the next record. */
  get full(): boolean {
    const { size, bytes } = this.#batch;
    const { batchRecordsMax, batchBytesMax } = this.#context.limits;
    return size >= batchRecordsMax || bytes >= batchBytesMax;
  }

  /**
   * Watches a body of at most `bytesMax` bytes that is let go of as it is stored, only at the end (`whole`), or at once,
   * because it goes to disk.
   */
  watch(bytesMax: number, hold: 'stream' | 'whole' | 'disk'): BodyWatch {
    return {
      bytesMax,
      arrived: (bytes) => {
        if (hold !== 'disk') this.#context.load.hold(bytes);
        if (hold === 'whole') this.#wholeBytes += bytes;
        else if (hold === 'stream') this.#batch.heldBytes += bytes;
        this.#context.metrics.bytes.add(bytes, { source: this.contract.source.name });
        // A stream may last for hours: what counts is when a record came.
        this.#now = this.#context.host.clock.now();
      },
    };
  }

  /** Takes a record in JSON; its bytes are what is stored. */
  json(bytes: Buffer, ascii: boolean): void {
    const result = this.contract.readJson(bytes, ascii, this.#now);
    if ('event' in result) this.#batch.accept(result.event, bytes);
    else this.refuse(result.rejection, bytes, bytes.length);
  }

  /** Takes a record that came in another form; it is stored as JSON. */
  value(value: Record<string, unknown>): void {
    const bytes = Buffer.from(JSON.stringify(value));
    const { recordBytesMax } = this.#context.limits;
    const result = this.contract.readValue(value, this.#now);
    if ('rejection' in result) this.refuse(result.rejection, bytes, bytes.length);
    else if (bytes.length > recordBytesMax) this.refuse(this.contract.tooLarge, bytes, bytes.length);
    else this.#batch.accept(result.event, bytes);
  }

  /** Puts a record of `size` bytes into quarantine, with as many of its bytes as a record may have. */
  refuse(rejection: Rejection, bytes: Buffer, size: number): void {
    const { quarantinedMax } = this.#context.limits;
    if (this.#refused >= quarantinedMax) {
      const text = `More than ${String(quarantinedMax)} records of the request broke the contract: is it the right source?`;
      throw new PlatformError('UNPROCESSABLE', text, { details: { quarantinedMax } });
    }
    const kept = bytes.subarray(0, cutAt(bytes, this.#context.limits.recordBytesMax));
    const cut = kept.length < size ? ` (${String(kept.length)} of ${String(size)} bytes are kept)` : '';
    this.#refused += 1;
    const told = cut === '' ? rejection : { ...rejection, reason: rejection.reason + cut };
    this.#batch.refuse(told, kept, cut === '');
  }

  /** Begins to store what came, as soon as the batch before is stored. Rejects with that one's failure. */
  async store(): Promise<void> {
    const batch = this.#batch;
    await this.#storing;
    this.#checkCall(batch);
    this.#batch = new Batch(this.contract, batch.next);
    this.#storing = this.#write(batch);
    // Whoever stores next, or the end, learns of a failure.
    this.#storing.catch(() => undefined);
  }

  /** Stores the rest and makes the answer. */
  async finish(): Promise<IngestResult> {
    await this.store();
    await this.#storing;
    return {
      accepted: this.#tally.accepted,
      quarantined: this.#tally.quarantined,
      positions: this.#tally.positions,
      results: this.#results,
    };
  }

  /** Ends after a failure: stores what had come before it, if it was not the store that failed, and makes the error. */
  async fail(error: unknown): Promise<unknown> {
    try {
      if (!this.#failed) await this.store();
      await this.#storing;
    } catch {
      // The first failure is the one to tell.
    }
    return this.#tally.explain(error, { done: this.#done });
  }

  /** Frees what the request holds. */
  close(): void {
    this.#context.load.release(this.#batch.heldBytes + this.#wholeBytes);
    this.#batch.heldBytes = 0;
    this.#wholeBytes = 0;
  }

  /** What nobody waits for any more is not stored. */
  #checkCall(batch: Batch): void {
    const { call } = this.#options;
    const late = this.#context.host.clock.monotonic() >= call.deadlineMs;
    // The signal is made when it is asked for, so the first batch, which mostly is the only one, does without.
    if (!late && (batch.first === 0 || !call.signal.aborted)) return;
    throw new PlatformError(
      'DEADLINE_EXCEEDED',
      'The request was given up before all of its records were stored',
    );
  }

  async #write(batch: Batch): Promise<void> {
    const listed: RecordResult[] = [];
    const { failPoints, log } = this.#context.host;
    try {
      await failPoints.pass('ingest.append.before');
      const stored = batch.append(log, (appended) => this.#accepted(appended, listed));
      await settleAll(batch.refused.length === 0 ? [stored] : [stored, this.#quarantine(batch, listed)]);
      await failPoints.pass('ingest.append.after');
      this.#done = batch.next;
    } catch (error) {
      this.#failed = true;
      throw error;
    } finally {
      this.#context.load.release(batch.heldBytes);
      for (const result of listed.sort((left, right) => left.index - right.index)) this.#results.push(result);
    }
  }

  #accepted(appended: Appended, listed: RecordResult[]): void {
    this.#tally.add(appended);
    this.#context.metrics.accepted.add(appended.indexes.length, { source: this.contract.source.name });
    if (!this.#options.listAccepted) return;
    for (const result of acceptedResults(appended)) {
      if (result.index < this.#context.limits.resultsMax) listed.push(result);
    }
  }

  async #quarantine(batch: Batch, listed: RecordResult[]): Promise<void> {
    const { host, metrics } = this.#context;
    const { source } = this.contract;
    const refused = batch.refused.map((item) => ({ ...item, id: host.random.id() }));
    const context = { source: source.name, contract: source.hash, at: host.clock.now() };
    const ids = await insertRefused(host.tables, context, refused);
    await host.failPoints.pass('ingest.quarantine.after');
    this.#tally.quarantined += refused.length;
    for (const [place, { id, index, rejection }] of refused.entries()) {
      metrics.quarantined.add(1, { source: source.name, code: rejection.code });
      listed.push({ status: 'quarantined', index, quarantineId: ids[place] ?? id, ...rejection });
    }
  }
}

/** Where to cut bytes that are longer than `bytesMax`: not within a UTF-8 character. */
function cutAt(bytes: Uint8Array, bytesMax: number): number {
  if (bytes.length <= bytesMax) return bytes.length;
  let end = bytesMax;
  for (let back = 0; back < 3 && ((bytes[end] ?? 0) & 0xc0) === 0x80; back += 1) end -= 1;
  return end;
}
