import {
  type IngestResult,
  PlatformError,
  type Positions,
  type RecordResult,
  routes,
} from '../../contract/index.ts';
import { BytesBody } from '../../runtime/call.ts';
import { type ClientOptions, openClient } from '../client.ts';
import { amount, type Output } from '../output.ts';
import { openRecords, type RecordFile, type RecordFormat } from '../record-batches.ts';

/** Quarantined records that the summary shows. */
const SHOWN_MAX = 5;
/** How long one batch may take, in milliseconds. */
const BATCH_MS = 120_000;

const MEDIA_TYPES: Readonly<Record<RecordFormat, string>> = {
  ndjson: 'application/x-ndjson',
  csv: 'text/csv',
};

export interface IngestVerbOptions extends ClientOptions {
  readonly format?: RecordFormat | undefined;
}

interface Totals {
  accepted: number;
  quarantined: number;
  positions: Record<string, number[]>;
  readonly examples: Extract<RecordResult, { status: 'quarantined' }>[];
}

/** `tandem ingest`: sends a file of records to a source, batch after batch, in the file's order. */
export async function ingestFile(
  source: string,
  path: string,
  options: IngestVerbOptions,
  output: Output,
): Promise<void> {
  const begun = performance.now();
  await using client = await openClient(options);
  const file = await openRecords(path, options.format);
  const totals: Totals = { accepted: 0, quarantined: 0, positions: {}, examples: [] };
  const mediaType = MEDIA_TYPES[file.format];
  const send = async (bytes: Uint8Array, first: number): Promise<void> => {
    const result = await client.call(
      routes.ingestEvents,
      { params: { source }, query: { results: 'quarantined' }, body: new BytesBody(mediaType, bytes) },
      { timeoutMs: BATCH_MS },
    );
    add(totals, result, first);
    output.progress(progressText(file, totals, begun));
  };
  let first = 0;
  // While one batch is on its way, the next is read. Never two at once: events of a key must keep the file's
  // order.
  let sending: Promise<void> = Promise.resolve();
  for await (const batch of file.batches) {
    await sending;
    sending = send(batch.bytes, first);
    sending.catch(() => undefined);
    first += batch.records;
  }
  await sending;
  const seconds = (performance.now() - begun) / 1_000;
  summarise({ source, path, totals, seconds }, output);
  if (totals.accepted === 0 && totals.quarantined > 0) {
    throw new PlatformError(
      'UNPROCESSABLE',
      `None of the ${amount(totals.quarantined)} records is one of source '${source}'`,
    );
  }
}

function add(totals: Totals, result: IngestResult, first: number): void {
  totals.accepted += result.accepted;
  totals.quarantined += result.quarantined;
  mergePositions(totals.positions, result.positions);
  for (const record of result.results) {
    if (record.status !== 'quarantined' || totals.examples.length >= SHOWN_MAX) continue;
    totals.examples.push({ ...record, index: first + record.index });
  }
}

function mergePositions(into: Record<string, number[]>, positions: Positions): void {
  for (const [source, offsets] of Object.entries(positions)) {
    const known = into[source] ?? [];
    into[source] = offsets.map((offset, partition) => Math.max(offset, known[partition] ?? 0));
  }
}

function progressText(file: RecordFile, totals: Totals, begun: number): string {
  const seconds = (performance.now() - begun) / 1_000;
  const count = totals.accepted + totals.quarantined;
  const share =
    file.size === undefined || file.size === 0
      ? ''
      : `${String(Math.round((file.read / file.size) * 100))} %, `;
  return `${share}${amount(count)} records, ${amount(Math.round(count / seconds))}/s`;
}

interface Summary {
  readonly source: string;
  readonly path: string;
  readonly totals: Totals;
  readonly seconds: number;
}

function summarise({ source, path, totals, seconds }: Summary, output: Output): void {
  const { accepted, quarantined, positions, examples } = totals;
  const recordsPerSecond = Math.round((accepted + quarantined) / Math.max(seconds, 1e-3));
  const value = { source, file: path, accepted, quarantined, seconds, recordsPerSecond, positions, examples };
  output.result(value, () => {
    const counts = `${amount(accepted)} accepted, ${amount(quarantined)} quarantined`;
    return `${source}: ${counts} in ${seconds.toFixed(1)} s (${amount(recordsPerSecond)}/s)`;
  });
  if (output.json) return;
  for (const { index, code, reason } of examples)
    output.note(`  record ${amount(index + 1)}: ${reason} [${code}]`);
  if (quarantined > examples.length)
    output.note(`  and ${amount(quarantined - examples.length)} more in quarantine`);
}
