import { compileRecordReader, PlatformError, sourceTopic } from '../../contract/index.ts';
import { compileExpression, type LabelDefinition, type Source } from '../../define/index.ts';
import type { EventLog, RecordBatch } from '../../runtime/index.ts';

/** Most records in one read of the log. */
const READ_RECORDS_MAX = 16_000;

/** Outcomes of a label, or events of a source, by the log: records sent twice count twice. */
export interface OutcomeCount {
  /** Records of the source that have ever come. */
  readonly records: number;
  /** Those that say something new: what the last run knew, and of what came since all that the label takes. */
  readonly seen: number;
}

interface Counted {
  /** By partition: what the last run knew. */
  readonly known: readonly number[];
  /** By partition: up to where records are counted. */
  readonly next: readonly number[];
  /** Of the records between the two, those that the label takes. */
  readonly taken: number;
}

/**
 * Counts the outcomes of labels. All records of a source are outcomes of a label without a condition, and of one with `confirmed`,
 * of which each makes an event known: those are counted by the heads of the log alone. Otherwise the records that came
 * since the last run are read, each once by a counter.
 */
export class OutcomeCounter {
  readonly #log: EventLog;
  /** By the label's hash. */
  readonly #counted = new Map<string, Counted>();

  constructor(log: EventLog) {
    this.#log = log;
  }

  /**
   * Counts the outcomes of a label, or all events of a source. `known`: next offsets of each partition that the model's last run knew;
   * empty when it had none.
   */
  async count(counted: LabelDefinition | Source, known: readonly number[]): Promise<OutcomeCount> {
    const ranges = await this.#ranges(counted.type === 'label' ? counted.from : counted);
    const records = ranges.reduce((sum, { next }) => sum + next, 0);
    if (counted.type === 'source') return { records, seen: records };
    const label = counted;
    if (label.where === undefined || label.confirmed === true) return { records, seen: records };
    const before = this.#counted.get(label.hash);
    const isSame = before !== undefined && before.known.join() === known.join();
    const from = isSame ? before.next : ranges.map((_, partition) => known[partition] ?? 0);
    let taken = isSame ? before.taken : 0;
    const isTaken = recordTest(label);
    for (const [partition, { first, next }] of ranges.entries())
      taken += await this.#taken(label, { partition, from: from[partition] ?? 0, first, next }, isTaken);
    // Whoever counts at the same time comes to a number of its own, not to a sum of both.
    this.#counted.set(label.hash, { known, next: ranges.map(({ next }) => next), taken });
    return { records, seen: known.reduce((sum, next) => sum + next, 0) + taken };
  }

  async #ranges({ name }: Source): ReturnType<EventLog['ranges']> {
    try {
      return await this.#log.ranges(sourceTopic(name));
    } catch (error) {
      // Nothing was ever sent to that source.
      if (PlatformError.is(error) && error.code === 'TOPIC_NOT_FOUND') return [];
      throw error;
    }
  }

  async #taken(
    { from: source }: LabelDefinition,
    { partition, from, first, next }: { readonly [name in 'partition' | 'from' | 'first' | 'next']: number },
    isTaken: (bytes: Uint8Array) => boolean,
  ): Promise<number> {
    // What the log has dropped nobody can look at: it counts, as without a condition.
    let taken = Math.max(0, Math.min(first, next) - from);
    for (let offset = Math.max(from, first); offset < next;) {
      const batches = await this.#log.read(sourceTopic(source.name), partition, offset, {
        maxRecords: READ_RECORDS_MAX,
      });
      const last = batches.at(-1);
      if (last === undefined) break;
      for (const batch of batches) taken += countRecords(batch, { from: offset, to: next }, isTaken);
      offset = last.base + last.count;
    }
    return taken;
  }
}

function countRecords(
  batch: RecordBatch,
  { from, to }: { readonly from: number; readonly to: number },
  isTaken: (bytes: Uint8Array) => boolean,
): number {
  let taken = 0;
  for (let index = 0; index < batch.count; index += 1) {
    const offset = batch.base + index;
    if (offset >= from && offset < to && isTaken(batch.record(index))) taken += 1;
  }
  return taken;
}

/** Whether a record is an outcome that meets the label's condition. */
function recordTest({ from, where }: LabelDefinition): (bytes: Uint8Array) => boolean {
  const read = compileRecordReader(from);
  const meets = where === undefined ? () => true : compileExpression(where);
  return (bytes) => {
    const result = read(parsed(bytes));
    return 'event' in result && meets(result.event.values) === true;
  };
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}
