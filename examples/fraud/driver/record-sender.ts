import { type KillDrill, laterPositions, type Platform, type Positions } from '@tandem-examples/driver';
import { type OutgoingRecord, recordText, REPORTS, TRANSACTIONS } from './record-stream.ts';

/** Records of one request while history is sent: about 0.5 MB. */
const CHUNK_RECORDS = 4_000;
/**
 * Requests with transactions at once while history is sent; a customer's records always take the same lane.
 */
const LANES = 3;

interface Lane {
  readonly source: OutgoingRecord['source'];
  records: string[];
  /** The last request; the next one waits for it, so that a lane keeps its order. */
  request: Promise<void>;
}

/** Sends records to the product and counts them. */
export class RecordSender {
  readonly #platform: Platform;
  readonly #drill: KillDrill | undefined;
  readonly #lanes: readonly Lane[];
  /** Records sent, deliberate copies counted, repetitions of failed requests not. */
  sent = 0;
  /** Records sent that are no copies, by source. */
  readonly distinct: Record<OutgoingRecord['source'], number> = { [TRANSACTIONS]: 0, [REPORTS]: 0 };
  quarantined = 0;
  /** What the product said about the first record it refused. */
  firstRefusal: string | undefined;
  /** Positions that include everything acknowledged. */
  positions: Positions = {};

  constructor(platform: Platform, drill?: KillDrill) {
    this.#platform = platform;
    this.#drill = drill;
    const lane = (source: Lane['source']): Lane => ({ source, records: [], request: Promise.resolve() });
    this.#lanes = [...Array.from({ length: LANES }, () => lane(TRANSACTIONS)), lane(REPORTS)];
  }

  /**
   * Sends a record some time, in big requests. When there is something returned, wait for it before the next.
   */
  push(record: OutgoingRecord): Promise<void> | undefined {
    const lane = this.#lanes[record.source === TRANSACTIONS ? record.transaction.customer % LANES : LANES];
    if (lane === undefined) throw new RangeError('There is no such lane');
    this.#count(record);
    lane.records.push(recordText(record));
    if (lane.records.length < CHUNK_RECORDS) return undefined;
    // Reports are few. They go along whenever transactions go, so as not to come long after their time.
    const others = this.#lanes.filter((other) => other.source !== lane.source);
    return Promise.all([lane, ...others].map((full) => this.#flush(full))).then(() => undefined);
  }

  /** Sends what was pushed and waits for all acknowledgements. */
  async drain(): Promise<void> {
    for (const lane of this.#lanes) await this.#flush(lane);
    await Promise.all(this.#lanes.map((lane) => lane.request));
  }

  /** Sends records now, each source in one request, and waits for the acknowledgements. */
  async send(records: readonly OutgoingRecord[]): Promise<void> {
    for (const record of records) this.#count(record);
    await Promise.all(
      ([TRANSACTIONS, REPORTS] as const).map(async (source) => {
        const texts = records.filter((record) => record.source === source).map(recordText);
        if (texts.length > 0) await this.#request(source, texts);
      }),
    );
  }

  /** Resolves when the lane can take more: its request before this one is answered. */
  #flush(lane: Lane): Promise<void> {
    const { records, request } = lane;
    if (records.length === 0) return request;
    lane.records = [];
    lane.request = request.then(() => this.#request(lane.source, records));
    lane.request.catch(() => undefined);
    return request;
  }

  async #request(source: string, records: readonly string[]): Promise<void> {
    const answering = this.#platform.ingest(source, records);
    this.#drill?.sent(records.length);
    const answer = await answering;
    this.positions = laterPositions(this.positions, answer.positions);
    this.quarantined += answer.quarantined;
    const [refused] = answer.results;
    if (refused !== undefined) {
      this.firstRefusal ??= `${source}: ${refused.code}: ${refused.reason}: ${records[refused.index] ?? ''}`;
    }
  }

  #count(record: OutgoingRecord): void {
    this.sent += 1;
    if (!record.copy) this.distinct[record.source] += 1;
  }
}
