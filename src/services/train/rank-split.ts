import { type Dataset, PlatformError } from '../../contract/index.ts';
import { categoriesMember, categoriesOf } from './categories.ts';
import { createPart, type Part } from './part-file.ts';
import {
  fill,
  type MadePart,
  numbers,
  positivesOf,
  quoted,
  type Side,
  source,
  type Split,
  storePart,
  type Table,
} from './part-table.ts';
import { describePeriod, type Periods } from './periods.ts';
import { groupStarts } from './rank-groups.ts';
import { type RunContext, runStep, type StepOutcome } from './run-context.ts';

/** Sides of a split whose rows are ranked in groups. */
export interface RankSplit extends Split {
  readonly train: RankSide;
  readonly test: RankSide;
  /** Rows of the two periods that are on no side: without a group, or of a group that is not in one period alone. */
  readonly leftOut: number;
}

interface RankSide extends Side {
  readonly groups: number;
}

/**
 * Takes the groups to learn from and those to be judged by out of the dataset: the groups all of whose rows lie in the period, in the
 * order of their first rows. A group that is partly in a period is left out, so that none is on both sides.
 */
export function rankSplitStep(
  context: RunContext,
  {
    dataset,
    periods,
    groupBy,
  }: { readonly dataset: Dataset; readonly periods: Periods; readonly groupBy: string },
): Promise<StepOutcome<RankSplit>> {
  const categories = categoriesOf(context.model.vector);
  return runStep(context, {
    name: 'split',
    inputs: {
      file: dataset.file.digest,
      names: dataset.names,
      ...categoriesMember(categories),
      periods,
      rank: groupBy,
    },
    async work() {
      const { host, signal } = context;
      const path = await host.objects.path(dataset.file.digest);
      await using session = await host.warehouse.session();
      const table = { session, path, names: dataset.names, categories, periods, groupBy };
      const train = await groupsWithin(table, periods.trainStart, periods.trainEnd);
      signal.throwIfAborted();
      const test = await groupsWithin(table, periods.testStart, periods.testEnd);
      signal.throwIfAborted();
      const leftOut = (await rowsInPeriods(table)) - train.part.rows - test.part.rows;
      assertRankable({ train: train.part, test: test.part }, { periods, groupBy, leftOut });
      const output = {
        train: { ...(await storePart(context, train)), groups: groupsOf(train.part) },
        test: { ...(await storePart(context, test)), groups: groupsOf(test.part) },
        leftOut,
      };
      return { output, artefacts: [output.train.digest, output.test.digest] };
    },
    note: ({ train, test, leftOut }) =>
      `train ${describePeriod(periods.trainStart, periods.trainEnd)}: ${sizeText(train)}; ` +
      `test ${describePeriod(periods.testStart, periods.testEnd)}: ${sizeText(test)}; ${leftOut} rows left out`,
  });
}

function sizeText({ rows, groups, positives }: RankSide): string {
  return `${rows} rows in ${groups} groups, ${positives} positive`;
}

interface GroupTable extends Table {
  readonly groupBy: string;
}

async function groupsWithin(table: GroupTable, start: number, end: number): Promise<MadePart> {
  const { names, categories, session } = table;
  const key = quoted(`key_${table.groupBy}`);
  const values = names.map((name, index) => `${quoted(name)}::float as v${index}`);
  const read = await session.query(
    `select ${['label::integer as label', ...values].join(', ')},
       (dense_rank() over (order by _first, ${key}) - 1)::double as "group"
     from (
       select *, min(time) over (partition by ${key}) as _first, max(time) over (partition by ${key}) as _last
       from ${source(table)} where ${key} is not null
     ) where _first >= ${start} and _last < ${end}
     order by _first, ${key}, file_row_number`,
  );
  const made = createPart({ names, categories, rows: read.rows, days: false, entities: true });
  fill(made.part, read, undefined);
  made.part.entities?.set(numbers(read, 'group'));
  return made;
}

async function rowsInPeriods(table: GroupTable): Promise<number> {
  const { trainStart, trainEnd, testStart, testEnd } = table.periods;
  const read = await table.session.query(
    `select count(*)::double as n from ${source(table)}
     where (time >= ${trainStart} and time < ${trainEnd}) or (time >= ${testStart} and time < ${testEnd})`,
  );
  return numbers(read, 'n')[0] ?? 0;
}

function groupsOf(part: Part): number {
  return groupStarts(part).length - 1;
}

/** An order can be learnt, and judged, where a group has a relevant row and another one. */
function assertRankable(
  sides: { readonly train: Part; readonly test: Part },
  {
    periods,
    groupBy,
    leftOut,
  }: { readonly periods: Periods; readonly groupBy: string; readonly leftOut: number },
): void {
  if (isRankable(sides.train) && isRankable(sides.test)) return;
  const texts = (['train', 'test'] as const).map((name) => {
    const [part, start, end] = [sides[name], periods[`${name}Start`], periods[`${name}End`]];
    return `${name} ${describePeriod(start, end)} has ${groupsOf(part)} groups of ${part.rows} rows, ${positivesOf(part)} positive`;
  });
  throw new PlatformError(
    'UNPROCESSABLE',
    `Both periods need a group with a positive and a negative row: ${texts.join('; ')}. ${leftOut} rows were left out: they have no ` +
      `'${groupBy}', or it has rows outside of the period too`,
    { details: { periods, groupBy, leftOut } },
  );
}

function isRankable(part: Part): boolean {
  const starts = groupStarts(part);
  return starts.some((start, group) => {
    const labels = part.labels.subarray(start, starts[group + 1] ?? start);
    return labels.includes(0) && labels.includes(1);
  });
}
