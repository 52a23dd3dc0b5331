import { isAscii, isUtf8 } from 'node:buffer';
import { PlatformError, routes } from '../../contract/index.ts';
import type { RawBody, Warehouse } from '../../runtime/index.ts';
import { emptyBody, readPieces, readWhole, trim } from './body.ts';
import { type Row, RowCutter } from './csv.ts';
import { compileRowFormat, type RowFormat } from './csv-record.ts';
import type { Intake } from './intake.ts';
import { beginsArray, cutArray, isDeeper } from './json.ts';
import type { IngestOptions } from './limits.ts';
import { type Line, LineCutter } from './lines.ts';
import { openParquet } from './parquet.ts';
import { NOT_UTF8 } from './record.ts';

/** Reads a body of one form and gives its records to the intake. Rejects with what is wrong with the body as a whole. */
export type ReadForm = (body: RawBody, intake: Intake, tools: FormTools) => Promise<void>;

/** What reading a body may need. */
export interface FormTools {
  readonly limits: IngestOptions;
  readonly warehouse: Warehouse;
}

/** Media type of Parquet. */
export const PARQUET = 'application/vnd.apache.parquet';

const { bodyBytesMax } = routes.ingestEvents;

/** The forms of a body by media type. */
export const FORMS: ReadonlyMap<string, ReadForm> = new Map([
  ['application/json', readJson],
  ['application/x-ndjson', readNdjson],
  ['text/csv', readCsv],
  [PARQUET, readParquet],
]);

/** One record, or an array of them. */
async function readJson(body: RawBody, intake: Intake, { limits }: FormTools): Promise<void> {
  const text = trim(await readWhole(body, intake.watch(bodyBytesMax, 'whole')));
  if (text.length === 0) throw emptyBody();
  const ascii = isAscii(text);
  if (!beginsArray(text)) {
    intake.json(text, ascii);
    return;
  }
  for (const { bytes, broken } of cutArray(text)) {
    if (intake.full) await intake.store();
    if (broken === undefined) {
      intake.json(bytes, ascii);
    } else {
      const deep = isDeeper(bytes, limits.jsonDepthMax);
      intake.refuse(
        deep ? intake.contract.tooDeep : { code: 'NOT_JSON', reason: broken },
        bytes,
        bytes.length,
      );
    }
  }
}

/** One record a line. */
async function readNdjson({ chunks }: RawBody, intake: Intake, { limits }: FormTools): Promise<void> {
  const lines = new LineCutter(limits.recordBytesMax);
  const take = (line: Line): void => {
    if (line.size > limits.recordBytesMax) intake.refuse(intake.contract.tooLarge, line.bytes, line.size);
    else intake.json(line.bytes, line.ascii);
  };
  for await (const piece of readPieces(chunks, intake.watch(limits.streamBytesMax, 'stream'))) {
    lines.push(piece);
    for (let line = lines.next(); line !== undefined; line = lines.next()) {
      if (intake.full) await intake.store();
      take(line);
    }
  }
  const last = lines.end();
  if (last !== undefined) take(last);
  if (intake.records === 0) throw emptyBody();
}

/** A header line, then one record a row. */
async function readCsv({ chunks }: RawBody, intake: Intake, { limits }: FormTools): Promise<void> {
  const rows = new RowCutter(limits.recordBytesMax);
  let format: RowFormat | undefined;
  const takeAll = async (): Promise<void> => {
    for (let row = rows.next(); row !== undefined; row = rows.next()) {
      if (intake.full) await intake.store();
      if (format === undefined) format = readHeader(row, intake, limits);
      else takeRow(row, format, intake);
    }
  };
  for await (const piece of readPieces(chunks, intake.watch(bodyBytesMax, 'stream'))) {
    rows.push(piece);
    await takeAll();
  }
  rows.end();
  await takeAll();
  if (format === undefined) throw emptyBody();
}

/** A file, which cannot be read before its end has come: it waits in a folder of the warehouse. */
async function readParquet(
  { chunks }: RawBody,
  intake: Intake,
  { limits, warehouse }: FormTools,
): Promise<void> {
  // Whoever must wait for a session does not send yet.
  await using session = await warehouse.session();
  const path = await session.receive(readPieces(chunks, intake.watch(limits.parquetBytesMax, 'disk')));
  const file = await openParquet(session, path, intake.contract.source);
  for await (const records of file.records(0)) {
    for (const record of records) {
      if (intake.full) await intake.store();
      intake.value(record);
    }
  }
  if (intake.records === 0) throw emptyBody();
}

function readHeader(row: Row, intake: Intake, limits: IngestOptions): RowFormat {
  if (row.broken !== undefined)
    throw new PlatformError('BAD_REQUEST', `The CSV header cannot be read: ${row.reason}`);
  if (!isUtf8(row.bytes)) throw new PlatformError('BAD_REQUEST', 'The CSV header is not UTF-8');
  return compileRowFormat(intake.contract.source, row.cells, limits.csvColumnsMax);
}

function takeRow(row: Row, format: RowFormat, intake: Intake): void {
  if (row.broken !== undefined) {
    intake.refuse({ code: row.broken, reason: row.reason }, row.bytes, row.size);
  } else if (!isUtf8(row.bytes)) {
    intake.refuse(NOT_UTF8, row.bytes, row.bytes.length);
  } else if (row.cells.length !== format.columns) {
    const reason = `expected ${String(format.columns)} cells as in the header; got ${String(row.cells.length)}`;
    intake.refuse({ code: 'NOT_CSV', reason }, row.bytes, row.bytes.length);
  } else {
    intake.value(format.record(row.cells));
  }
}
