import {
  type IngestResult,
  type InputOf,
  PlatformError,
  type RecordResult,
  type Rejection,
  type routes,
} from '../../contract/index.ts';
import type { CallContext } from '../../runtime/index.ts';
import { acceptedResults, type Appended, Batch, Tally } from './batch.ts';
import { findContract, type IngestContext } from './context.ts';
import { isQuarantineId, notInQuarantine } from './list-quarantine.ts';
import { bytesOfRefused, deleteRefused, sizesOfRefused, updateRefused } from './quarantine.ts';
import type { SourceContract } from './record.ts';

type Item = InputOf<typeof routes.replayQuarantine>['body']['records'][number];

/** Items that are replayed together, with the place of the first in the request. */
interface Part {
  readonly first: number;
  readonly items: Item[];
  bytes: number;
}

/**
 * Puts records back into the log: as the request says, else as they were corrected, else as they came. A record leaves the quarantine after all items that name it
 * are in the log: a crash in between leaves it there, and replaying it again gives events whose ids are known already.
 */
export function replayQuarantine(
  context: IngestContext,
  input: InputOf<typeof routes.replayQuarantine>,
  call: CallContext,
): Promise<IngestResult> {
  const contract = findContract(context, input.params.source);
  return context.load.run(async () => {
    const items = input.body.records;
    const parts = cutIntoParts(
      items,
      await findSizes(context, contract, items),
      context.limits.batchBytesMax,
    );
    const replay = new Replay(context, contract, items);
    try {
      for (const part of parts) {
        if (call.signal.aborted) throw new PlatformError('DEADLINE_EXCEEDED', 'The request was given up');
        await replay.put(part);
      }
    } catch (error) {
      throw replay.tally.explain(error);
    }
    return {
      accepted: replay.tally.accepted,
      quarantined: replay.tally.quarantined,
      positions: replay.tally.positions,
      results: replay.results,
    };
  });
}

async function findSizes(
  context: IngestContext,
  contract: SourceContract,
  items: readonly Item[],
): Promise<ReadonlyMap<string, number>> {
  const ids = [...new Set(items.map((item) => item.id))];
  const sizes = await sizesOfRefused(context.host.tables, contract.source.name, ids.filter(isQuarantineId));
  const unknown = ids.filter((id) => !sizes.has(id));
  if (unknown.length === 0) return sizes;
  throw notInQuarantine(contract.source.name, unknown, '; nothing was replayed');
}

/** So that a thousand records of a mebibyte each are not in memory at once. */
function cutIntoParts(items: readonly Item[], sizes: ReadonlyMap<string, number>, bytesMax: number): Part[] {
  const parts: Part[] = [];
  for (const [index, item] of items.entries()) {
    const bytes = item.record === undefined ? (sizes.get(item.id) ?? 0) : 0;
    let part = parts.at(-1);
    if (part === undefined || part.bytes + bytes > bytesMax) {
      part = { first: index, items: [], bytes: 0 };
      parts.push(part);
    }
    part.items.push(item);
    part.bytes += bytes;
  }
  return parts;
}

class Replay {
  readonly tally: Tally;
  readonly results: RecordResult[] = [];
  readonly #context: IngestContext;
  readonly #contract: SourceContract;
  /** How many items that name a record are still to come, by the record's id. */
  readonly #open = new Map<string, number>();
  readonly #failing = new Set<string>();

  constructor(context: IngestContext, contract: SourceContract, items: readonly Item[]) {
    this.#context = context;
    this.#contract = contract;
    this.tally = new Tally(contract);
    for (const { id } of items) this.#open.set(id, (this.#open.get(id) ?? 0) + 1);
  }

  async put(part: Part): Promise<void> {
    const { host } = this.#context;
    const { source } = this.#contract;
    const listed: RecordResult[] = [];
    const { batch, failures } = await this.#check(part);
    for (const { id, index, rejection } of failures) {
      this.#failing.add(id);
      listed.push({ status: 'quarantined', index, quarantineId: id, ...rejection });
    }
    await batch.append(host.log, (appended) => this.#accepted(appended, listed));
    await host.failPoints.pass('ingest.replay.appended');
    const done = this.#close(part);
    if (done.length > 0) await deleteRefused(host.tables, source.name, done);
    if (failures.length > 0) {
      // One row a record: of several failures of one record the last one stays.
      const last = new Map(failures.map((failure) => [failure.id, failure]));
      await updateRefused(host.tables, { source: source.name, contract: source.hash }, [...last.values()]);
    }
    this.tally.quarantined += failures.length;
    this.results.push(...listed.sort((left, right) => left.index - right.index));
  }

  async #check(part: Part): Promise<{ readonly batch: Batch; readonly failures: readonly Failure[] }> {
    const { host, limits } = this.#context;
    const asTheyCame = part.items.filter((item) => item.record === undefined).map((item) => item.id);
    const name = this.#contract.source.name;
    const originals =
      asTheyCame.length === 0 ? undefined : await bytesOfRefused(host.tables, name, asTheyCame);
    const batch = new Batch(this.#contract, part.first);
    const failures: Failure[] = [];
    const now = host.clock.now();
    for (const [place, { id, record }] of part.items.entries()) {
      const bytes = record === undefined ? originals?.get(id) : Buffer.from(JSON.stringify(record));
      // Somebody else replayed it in the meantime.
      if (bytes === undefined)
        throw new PlatformError('RECORD_NOT_FOUND', `Record ${id} has left the quarantine`);
      const result =
        record === undefined || bytes.length > limits.recordBytesMax
          ? this.#contract.readJson(bytes, false, now)
          : this.#contract.readValue(record, now);
      if ('event' in result) {
        batch.accept(result.event, bytes);
      } else {
        batch.refuse(result.rejection, bytes, true);
        failures.push({ id, index: part.first + place, rejection: result.rejection });
      }
    }
    return { batch, failures };
  }

  #accepted(appended: Appended, listed: RecordResult[]): void {
    this.tally.add(appended);
    this.#context.metrics.accepted.add(appended.indexes.length, { source: this.#contract.source.name });
    listed.push(...acceptedResults(appended));
  }

  /** The records of which every item is in the log now. */
  #close(part: Part): string[] {
    const done: string[] = [];
    for (const { id } of part.items) {
      const open = (this.#open.get(id) ?? 0) - 1;
      this.#open.set(id, open);
      if (open === 0 && !this.#failing.has(id)) done.push(id);
    }
    return done;
  }
}

interface Failure {
  readonly id: string;
  readonly index: number;
  readonly rejection: Rejection;
}
