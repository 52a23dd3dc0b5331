import { type Dataset, PlatformError } from '../../contract/index.ts';
import {
  excludedEntity,
  type Model,
  searchOf,
  type StratifiedValidation,
  validationOf,
} from '../../define/index.ts';
import { categoriesMember, categoriesOf } from './categories.ts';
import { foldPeriods } from './fold-periods.ts';
import type { Part } from './part-file.ts';
import { describePeriod, type Periods } from './periods.ts';
import { findOrDo, type RunContext } from './run-context.ts';
import { type MadePart, type Side, type Split, storePart } from './part-table.ts';
import { type GroupTable, groupsWithin, isRankable } from './rank-split.ts';
import { testPart, type TimeTable, trainPart } from './split-step.ts';
import { stepKey } from './steps.ts';

/** By what rows the trials of a search are judged. */
export type TrialFolds =
  /** Each fold has parts of its own. */
  | { readonly kind: 'parts'; readonly parts: readonly FoldParts[] }
  /** Folds that one part is dealt into, by the seed. */
  | { readonly kind: 'stratified'; readonly part: string; readonly folds: number };

/** Digests of parts. */
export interface FoldParts {
  readonly train: string;
  readonly test: string;
}

/** One fold, for people. */
export interface FoldNote {
  /** Periods; null where they are drawn. */
  readonly learnt: string | null;
  readonly judged: string | null;
  readonly train: Pick<Side, 'rows' | 'positives'>;
  readonly test: Pick<Side, 'rows' | 'positives'>;
  /** A fold in which a class is missing judges nothing. */
  readonly isUsed: boolean;
}

export interface SearchFolds {
  readonly folds: TrialFolds;
  readonly notes: readonly FoldNote[];
}

interface FoldInput {
  readonly dataset: Dataset;
  readonly split: Split;
  readonly periods: Periods;
}

/** The earliest event time that training looks at: the folds of a search reach further back than the model's own periods. */
export function historyStart(model: Model, periods: Periods): number {
  const search = searchOf(model.trainer);
  const validation = search === undefined ? undefined : validationOf(search, model.split);
  if (validation?.kind !== 'prequential') return periods.trainStart;
  const starts = foldPeriods(validation, periods).map(({ trainStart }) => trainStart);
  return Math.max(0, Math.min(periods.trainStart, ...starts));
}

/**
 * Makes what trials are judged by. Rejects with UNPROCESSABLE when no fold has rows of both classes on both sides, or a class has fewer
 * rows than there are stratified folds.
 */
export async function searchFolds(context: RunContext, input: FoldInput): Promise<SearchFolds> {
  const { model } = context;
  const search = searchOf(model.trainer);
  if (search === undefined) throw new PlatformError('INTERNAL', `Model '${model.name}' has no search`);
  const validation = validationOf(search, model.split);
  if (validation.kind === 'stratified') return stratifiedFolds(input.split.train, validation);
  const { dataset } = input;
  const all = foldPeriods(validation, input.periods);
  const excludeKnown = excludedEntity(model.split);
  const rank = groupOf(model);
  const key = stepKey('folds', {
    file: dataset.file.digest,
    names: dataset.names,
    ...categoriesMember(categoriesOf(model.vector)),
    periods: all,
    excludeKnown: excludeKnown ?? null,
    ...(rank === undefined ? {} : { rank }),
  });
  const { record } = await findOrDo(
    context,
    {
      name: 'folds',
      async work() {
        const folds = await cutFolds(context, dataset, all);
        const digests = folds.flatMap(({ split: { train, test } }) => [train.digest, test.digest]);
        return { output: folds, artefacts: digests };
      },
    },
    key,
  );
  return usedFolds(record.output);
}

function stratifiedFolds(train: Side, { folds }: StratifiedValidation): SearchFolds {
  const { rows, positives, digest } = train;
  if (Math.min(positives, rows - positives) < folds) {
    throw new PlatformError(
      'UNPROCESSABLE',
      `${folds} stratified folds need as many training rows of each class; of ${rows} rows ${positives} are positive`,
      { details: { folds, rows, positives } },
    );
  }
  const share = (side: number): Pick<Side, 'rows' | 'positives'> => ({
    rows: Math.round(rows * side),
    positives: Math.round(positives * side),
  });
  const note: FoldNote = {
    learnt: null,
    judged: null,
    train: share(1 - 1 / folds),
    test: share(1 / folds),
    isUsed: true,
  };
  return {
    folds: { kind: 'stratified', part: digest, folds },
    notes: Array.from({ length: folds }, () => note),
  };
}

interface CutFold {
  readonly periods: Periods;
  readonly split: Split;
  /** Whether there is something to learn and to judge by on both sides. */
  readonly isUsed: boolean;
}

/** Cuts the folds as the model's own periods are cut. */
async function cutFolds(context: RunContext, dataset: Dataset, all: readonly Periods[]): Promise<CutFold[]> {
  const { host, model, signal } = context;
  const groupBy = groupOf(model);
  const path = await host.objects.path(dataset.file.digest);
  await using session = await host.warehouse.session();
  const cut: CutFold[] = [];
  for (const periods of all) {
    const table = { session, path, names: dataset.names, categories: categoriesOf(model.vector), periods };
    const sides: readonly [MadePart, MadePart] =
      groupBy === undefined
        ? await sidesInTime({ ...table, excludeKnown: excludedEntity(model.split) })
        : await sidesOfGroups({ ...table, groupBy });
    signal.throwIfAborted();
    const [train, test] = [await storePart(context, sides[0]), await storePart(context, sides[1])];
    const isUsed = sides.every(({ part }) => (groupBy === undefined ? hasBoth(part) : isRankable(part)));
    cut.push({ periods, split: { train, test }, isUsed });
  }
  return cut;
}

async function sidesInTime(table: TimeTable): Promise<readonly [MadePart, MadePart]> {
  return [await trainPart(table), await testPart(table)];
}

async function sidesOfGroups(table: GroupTable): Promise<readonly [MadePart, MadePart]> {
  const { trainStart, trainEnd, testStart, testEnd } = table.periods;
  return [await groupsWithin(table, trainStart, trainEnd), await groupsWithin(table, testStart, testEnd)];
}

function hasBoth({ labels }: Part): boolean {
  return labels.includes(0) && labels.includes(1);
}

/** The field whose rows a model ranks together. */
function groupOf({ trainer }: Model): string | undefined {
  return trainer.kind === 'gbdt' ? trainer.groupBy : undefined;
}

function usedFolds(cut: readonly CutFold[]): SearchFolds {
  const notes = cut.map(noteOf);
  const used = cut.filter(({ isUsed }) => isUsed);
  if (used.length === 0) {
    const counts = notes.map(
      ({ learnt, judged, train, test }) =>
        `${String(learnt)} has ${train.rows} rows, ${train.positives} positive, ${String(judged)} has ${test.rows}, ${test.positives}`,
    );
    throw new PlatformError(
      'UNPROCESSABLE',
      `A search needs a fold with positive and negative rows on both sides: ${counts.join('; ')}`,
      { details: { folds: cut.map(({ periods }) => periods) } },
    );
  }
  const parts = used.map(({ split: { train, test } }) => ({ train: train.digest, test: test.digest }));
  return { folds: { kind: 'parts', parts }, notes };
}

function noteOf({ periods, split: { train, test }, isUsed }: CutFold): FoldNote {
  const counts = ({ rows, positives }: Side): Pick<Side, 'rows' | 'positives'> => ({ rows, positives });
  return {
    learnt: describePeriod(periods.trainStart, periods.trainEnd),
    judged: describePeriod(periods.testStart, periods.testEnd),
    train: counts(train),
    test: counts(test),
    isUsed,
  };
}
