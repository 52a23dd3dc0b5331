import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PlatformError, routes } from '../../contract/index.ts';
import { durationMs, type Duration } from '../../define/index.ts';
import { type ClientOptions, dataDirOf, openClient } from '../client.ts';
import { formatOf } from '../ingest/record-file.ts';
import type { RecordFormat } from '../ingest/records.ts';
import { sendFile, type SentFile } from '../ingest/send-file.ts';
import { emptyTotals, type Totals } from '../ingest/sender.ts';
import { listenForInterrupt } from '../interrupt.ts';
import { amount, type Output } from '../output.ts';

/** Batches on their way at a time, at most. */
const PARALLEL_MAX = 32;
/** How long stopping may take, in milliseconds. */
const STOP_MS = 10_000;

export interface IngestVerbOptions extends ClientOptions {
  readonly format?: RecordFormat | undefined;
  /** Batches on their way at a time. Default 1, which keeps the order of the file. */
  readonly parallel?: string | undefined;
  /** How long a server that refuses is waited for, as `5m`. */
  readonly retryFor?: string | undefined;
  /** Send what was sent before, too. */
  readonly again?: boolean | undefined;
}

/**
 * `tandem ingest`: sends a file of records, or those of a folder in the order of their names, to a source; of each what was not
 * sent before. Gives whether all of it is sent.
 */
export async function ingest(
  source: string,
  path: string,
  options: IngestVerbOptions,
  output: Output,
): Promise<boolean> {
  const begun = performance.now();
  const parallel = readParallel(options.parallel ?? '1');
  const giveUpMs = readDuration(options.retryFor ?? '5m');
  const found = await filesOf(path, options.format);
  await using client = await openClient(options);
  const description = await client.call(routes.describeSource, { params: { source }, query: {}, body: {} });
  using interrupt = listenForInterrupt(STOP_MS, (text) => output.note(text));
  const totals = emptyTotals();
  const files: SentFile[] = [];
  const common = {
    call: client.call,
    source: description,
    server: client.url?.origin ?? 'local',
    dataDir: dataDirOf(options),
    format: options.format,
    isAgain: options.again === true,
    parallel,
    giveUpMs,
    signal: interrupt.signal,
    output,
  };
  for (const file of found.files) {
    if (interrupt.signal.aborted) break;
    files.push(await sendFile(file, common, totals));
  }
  const seconds = (performance.now() - begun) / 1_000;
  const isWhole = !interrupt.signal.aborted;
  summarise({ source, path, files, skipped: found.skipped, totals, seconds, isWhole }, output);
  if (isWhole && totals.accepted === 0 && totals.quarantined > 0) {
    throw new PlatformError(
      'UNPROCESSABLE',
      `None of the ${amount(totals.quarantined)} records is one of source '${source}'`,
    );
  }
  return isWhole;
}

function readParallel(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= PARALLEL_MAX) return value;
  throw new PlatformError(
    'CONFIGURATION',
    `--parallel: expected 1 to ${String(PARALLEL_MAX)}, got '${text}'`,
  );
}

function readDuration(text: string): number {
  try {
    return durationMs(text as Duration);
  } catch (error) {
    throw new PlatformError('CONFIGURATION', `--retry-for: expected a duration like 5m, got '${text}'`, {
      cause: error,
    });
  }
}

/** The files to send, and those of a folder that have no form. Rejects with CONFIGURATION when there is none. */
async function filesOf(
  path: string,
  format: RecordFormat | undefined,
): Promise<{ readonly files: readonly string[]; readonly skipped: readonly string[] }> {
  const isFolder = path !== '-' && (await stat(path).catch(() => undefined))?.isDirectory() === true;
  if (!isFolder) return { files: [path], skipped: [] };
  const entries = await readdir(path, { withFileTypes: true });
  const names = entries
    .filter((entry) => entry.isFile() && !entry.name.startsWith('.'))
    .map(({ name }) => name);
  // By code units: the same order everywhere, and that of `ls` for names in ASCII.
  names.sort((left, right) => (left < right ? -1 : 1));
  const isOurs = (name: string): boolean => (format ?? formatOf(name)) !== undefined;
  const files = names.filter(isOurs).map((name) => join(path, name));
  if (files.length === 0) {
    throw new PlatformError(
      'CONFIGURATION',
      `${path}: the folder has no file that ends in .ndjson, .jsonl, .csv or .parquet (text also with .gz)`,
    );
  }
  return { files, skipped: names.filter((name) => !isOurs(name)) };
}

interface Summary {
  readonly source: string;
  readonly path: string;
  readonly files: readonly SentFile[];
  readonly skipped: readonly string[];
  readonly totals: Totals;
  readonly seconds: number;
  readonly isWhole: boolean;
}

function summarise(summary: Summary, output: Output): void {
  const { source, path, files, skipped, totals, seconds, isWhole } = summary;
  const { accepted, quarantined, positions, examples } = totals;
  const recordsPerSecond = Math.round((accepted + quarantined) / Math.max(seconds, 1e-3));
  const reasons = Object.fromEntries([...totals.reasons].sort(([, left], [, right]) => right - left));
  const value = {
    source,
    file: path,
    files,
    skipped,
    complete: isWhole,
    accepted,
    quarantined,
    seconds,
    recordsPerSecond,
    positions,
    reasons,
    examples,
  };
  output.result(value, () => {
    const counts = `${amount(accepted)} accepted, ${amount(quarantined)} quarantined`;
    return `${source}: ${counts} in ${seconds.toFixed(1)} s (${amount(recordsPerSecond)}/s)`;
  });
  if (output.json) return;
  const unchanged = files.filter(({ state }) => state === 'unchanged');
  if (unchanged.length > 0)
    output.note(
      `  ${amount(unchanged.length)} of ${amount(files.length)} files were sent before (--again sends them again)`,
    );
  if (skipped.length > 0) output.note(`  no file of records: ${skipped.slice(0, 10).join(', ')}`);
  for (const [reason, count] of Object.entries(reasons)) output.note(`  ${amount(count)} x ${reason}`);
  for (const { index, code, reason } of examples)
    output.note(`  record ${amount(index + 1)}: ${reason} [${code}]`);
  if (quarantined > 0) output.note(`  'tandem quarantine list ${source}' shows them`);
  if (!isWhole) output.note('Stopped. The same command goes on from here.');
}
