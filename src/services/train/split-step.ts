import { type Dataset, PlatformError } from '../../contract/index.ts';
import { excludedEntity } from '../../define/index.ts';
import { categoriesMember, categoriesOf } from './categories.ts';
import { entityCodes, unknownRows } from './known-entities.ts';
import { createPart, type Part } from './part-file.ts';
import {
  fill,
  type MadePart,
  numbers,
  positivesOf,
  quoted,
  readRows,
  source,
  type Split,
  storePart,
  type Table,
  texts,
} from './part-table.ts';
import { describePeriod, type Periods, testDay } from './periods.ts';
import { type RunContext, runStep, type StepOutcome } from './run-context.ts';

/**
 * Takes the rows to learn from and those to be judged by out of the dataset, as float32, which is what
 * serving uses.
 */
export function splitStep(
  context: RunContext,
  dataset: Dataset,
  periods: Periods,
): Promise<StepOutcome<Split>> {
  const { split: rule, vector } = context.model;
  const excludeKnown = excludedEntity(rule);
  const categories = categoriesOf(vector);
  return runStep(context, {
    name: 'split',
    inputs: {
      file: dataset.file.digest,
      names: dataset.names,
      ...categoriesMember(categories),
      periods,
      excludeKnown: excludeKnown ?? null,
    },
    async work() {
      const { host, signal } = context;
      const path = await host.objects.path(dataset.file.digest);
      await using session = await host.warehouse.session();
      const table: TimeTable = { session, path, names: dataset.names, categories, periods, excludeKnown };
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

interface TimeTable extends Table {
  readonly excludeKnown: string | undefined;
}

async function trainPart(table: TimeTable): Promise<MadePart> {
  const { names, categories, periods } = table;
  const read = await readRows(table, [], periods.trainStart, periods.trainEnd);
  const made = createPart({ names, categories, rows: read.rows, days: false, entities: false });
  fill(made.part, read, undefined);
  return made;
}

async function testPart(table: TimeTable): Promise<MadePart> {
  const { names, categories, periods, excludeKnown } = table;
  const entity = excludeKnown === undefined ? undefined : quoted(`key_${excludeKnown}`);
  const further = [
    'time::double as "time"',
    ...(entity === undefined ? [] : [`${entity}::varchar as entity`]),
  ];
  const read = await readRows(table, further, periods.testStart, periods.testEnd);
  const times = numbers(read, 'time');
  if (entity === undefined) {
    const made = createPart({ names, categories, rows: read.rows, days: true, entities: false });
    fill(made.part, read, undefined);
    made.part.days?.set(times.map((time) => testDay(time, periods)));
    return made;
  }
  const entities = texts(read, 'entity');
  const rows = unknownRows(times, entities, await firstPositives(table, entity), periods);
  const made = createPart({ names, categories, rows: rows.length, days: true, entities: true });
  fill(made.part, read, rows);
  made.part.days?.set(Array.from(rows, (row) => testDay(times[row] as number, periods)));
  made.part.entities?.set(entityCodes(Array.from(rows, (row) => entities[row] as string)));
  return made;
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
