import { type Dataset, PlatformError } from '../../contract/index.ts';
import type { ResultColumns, WarehouseSession } from '../../runtime/index.ts';
import { entityCodes, unknownRows } from './known-entities.ts';
import { createPart, type Part, sealPart } from './part-file.ts';
import { describePeriod, type Periods, testDay } from './periods.ts';
import { type RunContext, runStep, type StepOutcome } from './run-context.ts';

/** One side of a split. */
export interface Side {
  /** Digest of the rows, see {@link Part}. */
  readonly digest: string;
  readonly rows: number;
  readonly positives: number;
}

export interface Split {
  readonly train: Side;
  readonly test: Side;
}

/**
 * Takes the rows to learn from and those to be judged by out of the dataset, as float32, which is what
 * serving uses.
 */
export function splitStep(
  context: RunContext,
  dataset: Dataset,
  periods: Periods,
): Promise<StepOutcome<Split>> {
  const { excludeKnown } = context.model.split;
  return runStep(context, {
    name: 'split',
    inputs: { file: dataset.file.digest, names: dataset.names, periods, excludeKnown: excludeKnown ?? null },
    async work() {
      const { host, signal } = context;
      const path = await host.objects.path(dataset.file.digest);
      await using session = await host.warehouse.session();
      const table: Table = { session, path, names: dataset.names, periods, excludeKnown };
      const train = await trainPart(table);
      signal.throwIfAborted();
      const test = await testPart(table);
      signal.throwIfAborted();
      assertBothClasses(train.part, test.part, periods);
      const split = { train: await storePart(context, train), test: await storePart(context, test) };
      return { output: split, artefacts: [split.train.digest, split.test.digest] };
    },
    note: ({ train, test }) =>
      `train ${describePeriod(periods.trainStart, periods.trainEnd)}: ${train.rows} rows, ${train.positives} positive; ` +
      `test ${describePeriod(periods.testStart, periods.testEnd)}: ${test.rows} rows, ${test.positives} positive`,
  });
}

/** The rows of a dataset and how they are parted. */
export interface Table {
  readonly session: WarehouseSession;
  readonly path: string;
  readonly names: readonly string[];
  readonly periods: Periods;
  readonly excludeKnown: string | undefined;
}

interface MadePart {
  readonly part: Part;
  readonly bytes: Uint8Array;
}

export async function trainPart(table: Table): Promise<MadePart> {
  const { names, periods } = table;
  const read = await readRows(table, [], periods.trainStart, periods.trainEnd);
  const made = createPart({ names, rows: read.rows, days: false, entities: false });
  fill(made.part, read, undefined);
  return made;
}

export async function testPart(table: Table): Promise<MadePart> {
  const { names, periods, excludeKnown } = table;
  const entity = excludeKnown === undefined ? undefined : quoted(`key_${excludeKnown}`);
  const further = [
    'time::double as "time"',
    ...(entity === undefined ? [] : [`${entity}::varchar as entity`]),
  ];
  const read = await readRows(table, further, periods.testStart, periods.testEnd);
  const times = numbers(read, 'time');
  if (entity === undefined) {
    const made = createPart({ names, rows: read.rows, days: true, entities: false });
    fill(made.part, read, undefined);
    made.part.days?.set(times.map((time) => testDay(time, periods)));
    return made;
  }
  const entities = texts(read, 'entity');
  const rows = unknownRows(times, entities, await firstPositives(table, entity), periods);
  const made = createPart({ names, rows: rows.length, days: true, entities: true });
  fill(made.part, read, rows);
  made.part.days?.set(Array.from(rows, (row) => testDay(times[row] as number, periods)));
  made.part.entities?.set(entityCodes(Array.from(rows, (row) => entities[row] as string)));
  return made;
}

/**
 * The rows of a period in the file's order: values as `v0`, `v1`, ..., the label as `label`, and further
 * columns.
 */
function readRows(
  table: Table,
  further: readonly string[],
  start: number,
  end: number,
): Promise<ResultColumns> {
  const values = table.names.map((name, index) => `${quoted(name)}::float as v${index}`);
  return table.session.query(
    `select ${['label::integer as label', ...values, ...further].join(', ')} from ${source(table)}
     where time >= ${start} and time < ${end} order by file_row_number`,
  );
}

/**
 * The first positive event of each entity since the start of training, up to where it can matter for a test
 * day.
 */
async function firstPositives(table: Table, entity: string): Promise<Map<string, number>> {
  const { trainStart, trainEnd, testStart, testEnd } = table.periods;
  const until = testEnd - (testStart - trainEnd);
  const read = await table.session.query(
    `select ${entity}::varchar as entity, min(time)::double as first from ${source(table)}
     where label and time >= ${trainStart} and time < ${until} and ${entity} is not null group by all`,
  );
  const first = numbers(read, 'first');
  return new Map(texts(read, 'entity').map((name, index) => [name, first[index] as number]));
}

function source({ path }: Table): string {
  return `read_parquet('${path.replaceAll("'", "''")}', file_row_number = true)`;
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Copies the given rows, or all, of a result into a part. */
function fill(part: Part, read: ResultColumns, rows: Uint32Array | undefined): void {
  const { values, labels, names } = part;
  names.forEach((_, column) => {
    const given = numbers(read, `v${column}`);
    for (let row = 0; row < part.rows; row += 1) {
      values[row * names.length + column] = given[rows?.[row] ?? row] as number;
    }
  });
  const given = numbers(read, 'label');
  for (let row = 0; row < part.rows; row += 1) {
    const label = given[rows?.[row] ?? row];
    if (label !== 0 && label !== 1) throw new PlatformError('INTERNAL', 'A row of the dataset has no label');
    labels[row] = label;
  }
  sealPart(part);
}

function numbers(read: ResultColumns, name: string): Float64Array {
  const column = read.columns.get(name);
  if (column instanceof Float64Array) return column;
  throw new PlatformError('INTERNAL', `Column '${name}' of the dataset has no numbers`);
}

/** A missing key counts as the empty one: it stays an entity of its own. */
function texts(read: ResultColumns, name: string): string[] {
  const column = read.columns.get(name);
  if (column === undefined || column instanceof Float64Array) {
    throw new PlatformError('INTERNAL', `Column '${name}' of the dataset has no text`);
  }
  return column.map((value) => (value === null ? '' : String(value)));
}

/** Puts a part into the object store. */
export async function storePart(
  { host }: Pick<RunContext, 'host'>,
  { part, bytes }: MadePart,
): Promise<Side> {
  const { digest } = await host.objects.put(bytes);
  return { digest, rows: part.rows, positives: positivesOf(part) };
}

function positivesOf(part: Part): number {
  return part.labels.reduce((sum, label) => sum + label, 0);
}

function assertBothClasses(train: Part, test: Part, periods: Periods): void {
  const sides = [
    { name: 'training', part: train, start: periods.trainStart, end: periods.trainEnd },
    { name: 'test', part: test, start: periods.testStart, end: periods.testEnd },
  ];
  if (sides.every(({ part }) => positivesOf(part) > 0 && positivesOf(part) < part.rows)) return;
  const counts = sides.map(({ name, part, start, end }) => {
    return `${name} ${describePeriod(start, end)} has ${part.rows} rows, ${positivesOf(part)} positive`;
  });
  throw new PlatformError(
    'UNPROCESSABLE',
    `Both periods need positive and negative rows: ${counts.join('; ')}`,
    {
      details: {
        periods,
        trainRows: train.rows,
        trainPositives: positivesOf(train),
        testRows: test.rows,
        testPositives: positivesOf(test),
      },
    },
  );
}
