import type { Dataset } from '../../contract/index.ts';
import type { FoldSplit } from '../../define/index.ts';
import type { ColumnValues } from '../../runtime/index.ts';
import { categoriesMember, categoriesOf } from './categories.ts';
import { dealFolds } from './deal-folds.ts';
import { entityCodes } from './known-entities.ts';
import { createPart } from './part-file.ts';
import {
  fill,
  type MadePart,
  quoted,
  readRows,
  type Side,
  type Split,
  storePart,
  type Table,
} from './part-table.ts';
import { describePeriod, type Periods } from './periods.ts';
import { type RunContext, runStep, type StepOutcome } from './run-context.ts';

/**
 * Takes all rows out of the dataset: each of them is learnt from and judged by. How they are dealt into folds follows from the rows
 * and the model's seed, see {@link dealFolds}.
 */
export function foldsSplitStep(
  context: RunContext,
  {
    dataset,
    periods,
    split,
  }: { readonly dataset: Dataset; readonly periods: Periods; readonly split: FoldSplit },
): Promise<StepOutcome<Split>> {
  const { seed, vector } = context.model;
  const categories = categoriesOf(vector);
  const { folds, groupBy = null } = split;
  return runStep(context, {
    name: 'split',
    inputs: {
      file: dataset.file.digest,
      names: dataset.names,
      ...categoriesMember(categories),
      periods,
      folds,
      groupBy,
      seed,
    },
    async work() {
      const { host, signal } = context;
      const path = await host.objects.path(dataset.file.digest);
      await using session = await host.warehouse.session();
      const made = await allRows({ session, path, names: dataset.names, categories, periods }, groupBy);
      signal.throwIfAborted();
      // Now, and not when the first fold is fitted: whoever waits for the run learns it at once.
      dealFolds(made.part, { folds, seed });
      const side: Side = await storePart(context, made);
      return { output: { train: side, test: side }, artefacts: [side.digest] };
    },
    note: ({ train: { rows, positives } }) =>
      `${folds} folds of ${rows} rows, ${positives} positive, ${describePeriod(periods.trainStart, periods.trainEnd)}` +
      (groupBy === null ? '' : `, by '${groupBy}'`),
  });
}

async function allRows(table: Table, groupBy: string | null): Promise<MadePart> {
  const { names, categories, periods } = table;
  const further = groupBy === null ? [] : [`${quoted(`key_${groupBy}`)}::varchar as entity`];
  const read = await readRows(table, further, periods.trainStart, periods.trainEnd);
  const made = createPart({ names, categories, rows: read.rows, days: false, entities: groupBy !== null });
  fill(made.part, read, undefined);
  const entities = read.columns.get('entity');
  if (entities !== undefined) made.part.entities?.set(entityCodes(named(entities)));
  return made;
}

/** A row without a key is an entity of its own; no key begins with a NUL character. */
function named(entities: ColumnValues): string[] {
  return Array.from(entities as Iterable<string | number | boolean | null>, (name, row) =>
    name === null ? `\0${row}` : String(name),
  );
}
