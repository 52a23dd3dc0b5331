import { join } from 'node:path';
import { systemClock, systemRandom } from '../../adapters/system/index.ts';
import type { PlatformError, SourceDescription } from '../../contract/index.ts';
import type { Fields } from '../../define/index.ts';
import type { Caller } from '../../runtime/index.ts';
import type { Output } from '../output.ts';
import { BEGINNING, type RecordPlace } from './cut-batches.ts';
import { openRecords } from './record-file.ts';
import type { RecordFile, RecordFormat } from './records.ts';
import { placeOf, Resume, type Sent } from './resume.ts';
import { Progress } from './progress.ts';
import { Sender, type Totals } from './sender.ts';

/** How often it is written down how far a file is, in milliseconds: so much is sent again after a kill. */
const NOTE_MS = 500;

/** Rows of Parquet are sent as lines of JSON. */
const MEDIA_TYPES: Readonly<Record<RecordFormat, string>> = {
  ndjson: 'application/x-ndjson',
  csv: 'text/csv',
  parquet: 'application/x-ndjson',
};

export interface SendOptions {
  readonly call: Caller;
  /** What the server says of the source. */
  readonly source: SourceDescription;
  /** Address of the server, for the note how far the file is. */
  readonly server: string;
  readonly dataDir: string;
  readonly format: RecordFormat | undefined;
  /** Send what was sent before, too. */
  readonly isAgain: boolean;
  readonly parallel: number;
  readonly giveUpMs: number;
  readonly signal: AbortSignal;
  readonly output: Output;
}

/** What became of one file. */
export interface SentFile {
  readonly file: string;
  /** `unchanged`: it had been sent before and nothing was added; `stopped`: the rest is left for the next time. */
  readonly state: 'sent' | 'unchanged' | 'stopped';
  /** Records that earlier runs had sent. */
  readonly before: number;
}

/** Sends what of a file was not sent before. What becomes of the records is added to `totals`. */
export async function sendFile(path: string, options: SendOptions, totals: Totals): Promise<SentFile> {
  const { source, output, signal } = options;
  const file = await openRecords(path, options.format, {
    source: {
      name: source.name,
      fields: source.contract.fields as Fields,
      id: source.contract.id,
      key: source.contract.key,
      corrections: source.contract.corrections ?? false,
    },
    // Loaded for Parquet alone: it costs a good part of a second.
    warehouse: async () => {
      const { duckdbWarehouse } = await import('../../adapters/duckdb/index.ts');
      return duckdbWarehouse({ directory: join(options.dataDir, 'warehouse') });
    },
  });
  const resume = path === '-' ? undefined : await openResume(path, file, options);
  const sent = options.isAgain ? undefined : await earlier(resume, source);
  if (sent !== undefined && !sent.hasMore) return { file: path, state: 'unchanged', before: sent.records };
  const from = sent === undefined ? BEGINNING : placeOf(sent);
  if (from.records > 0)
    output.note(`${path}: going on behind record ${from.records.toLocaleString('en-US')}`);
  const progress = new Progress(file, totals, path);
  const notes = new Notes(resume, sent);
  const sender = new Sender(
    {
      call: options.call,
      clock: systemClock(),
      random: systemRandom(),
      source: source.name,
      mediaType: MEDIA_TYPES[file.format],
      parallel: options.parallel,
      giveUpMs: options.giveUpMs,
      signal,
      onWait: (error: PlatformError, pauseMs) => output.progress(progress.waiting(error, pauseMs)),
      async onDone(end, result) {
        await notes.add(end, result);
        output.progress(progress.text());
      },
    },
    totals,
  );
  try {
    let first = from.records;
    for await (const batch of file.batches(from)) {
      if (signal.aborted) break;
      await sender.send(batch, first);
      first += batch.records;
    }
    await sender.finish();
  } finally {
    await notes.write(false);
    output.endProgress();
  }
  if (signal.aborted) return { file: path, state: 'stopped', before: from.records };
  await notes.write(true);
  return { file: path, state: 'sent', before: from.records };
}

function openResume(path: string, file: RecordFile, options: SendOptions): Promise<Resume> {
  const { dataDir, server, source } = options;
  return Resume.open(path, { dataDir, server, source: source.name, canGrow: file.canGrow });
}

/** How far the file was sent before; nothing, when the source has lost all its events since. */
async function earlier(
  resume: Resume | undefined,
  source: SourceDescription,
): Promise<Awaited<ReturnType<Resume['read']>>> {
  const sent = await resume?.read();
  return sent !== undefined && sent.accepted > 0 && source.accepted === 0 ? undefined : sent;
}

/** Writes down now and then how far a file is. */
class Notes {
  readonly #resume: Resume | undefined;
  #sent: Sent;
  #writtenMs = performance.now();

  constructor(resume: Resume | undefined, before: Sent | undefined) {
    this.#resume = resume;
    this.#sent = {
      ...BEGINNING,
      accepted: before?.accepted ?? 0,
      quarantined: before?.quarantined ?? 0,
      ...(before === undefined ? {} : placeOf(before)),
      isWhole: false,
    };
  }

  async add(
    end: RecordPlace,
    result: { readonly accepted: number; readonly quarantined: number },
  ): Promise<void> {
    this.#sent = {
      ...end,
      accepted: this.#sent.accepted + result.accepted,
      quarantined: this.#sent.quarantined + result.quarantined,
      isWhole: false,
    };
    if (performance.now() - this.#writtenMs >= NOTE_MS) await this.write(false);
  }

  async write(isWhole: boolean): Promise<void> {
    this.#sent = { ...this.#sent, isWhole };
    this.#writtenMs = performance.now();
    await this.#resume?.write(this.#sent);
  }
}
