import type { Records } from './state-host.ts';

/** Records in memory that threads share: none of them needs a copy of its own. */
export interface PackedRecords {
  readonly partition: number;
  readonly base: number;
  readonly count: number;
  /** Where each record begins behind these numbers, and the last one ends, as 32-bit integers; and then the records. */
  readonly shared: SharedArrayBuffer;
}

/** Bytes of a number in front of the records. */
const NUMBER_BYTES = 4;

/** Packs the records from the `from`th to before the `to`th. */
export function packRecords(records: Records, from: number, to: number): PackedRecords {
  const count = to - from;
  const parts = Array.from({ length: count }, (_, index) => records.record(from + index));
  const bytes = parts.reduce((sum, part) => sum + part.length, 0);
  const head = (count + 1) * NUMBER_BYTES;
  const shared = new SharedArrayBuffer(head + bytes);
  const starts = new Uint32Array(shared, 0, count + 1);
  const body = new Uint8Array(shared, head);
  let at = 0;
  for (const [index, part] of parts.entries()) {
    body.set(part, at);
    at += part.length;
    starts[index + 1] = at;
  }
  return { partition: records.partition, base: records.base + from, count, shared };
}

/** Packs batches for messages of so many records at most. */
export function* packInMessages(
  batches: readonly Records[],
  recordsMax: number,
): Generator<readonly PackedRecords[]> {
  let packed: PackedRecords[] = [];
  let room = recordsMax;
  for (const batch of batches) {
    for (let from = 0; from < batch.count;) {
      const to = Math.min(batch.count, from + room);
      packed.push(packRecords(batch, from, to));
      room -= to - from;
      from = to;
      if (room > 0) continue;
      yield packed;
      packed = [];
      room = recordsMax;
    }
  }
  if (packed.length > 0) yield packed;
}

export function unpackRecords({ partition, base, count, shared }: PackedRecords): Records {
  const starts = new Uint32Array(shared, 0, count + 1);
  const bytes = Buffer.from(shared, (count + 1) * NUMBER_BYTES);
  return {
    partition,
    base,
    count,
    record: (index) => bytes.subarray(starts[index] ?? 0, starts[index + 1] ?? 0),
    body: { bytes, starts },
  };
}
