// Not the whole contract: a thread would load all its schemas.
import { PlatformError } from '../../contract/errors.ts';
import { codeOf, type RecommenderTrainer } from '../../define/index.ts';
import {
  encodeItemModel,
  fitEase,
  fitItemKnn,
  fitMostPopular,
  type Interactions,
  interactionsOf,
  type ItemModelToEncode,
} from '../../ml/index.ts';
import { type InteractionsFile, readInteractions, SIDE } from './recommender-file.ts';
import type { TaskContext } from './task-context.ts';

export interface FitRecommenderInput {
  /** As {@link readInteractions} takes it. */
  readonly interactions: Uint8Array;
  /** From what it learns: what everybody did first, or all of it. */
  readonly from: 'earlier' | 'all';
  readonly trainer: RecommenderTrainer;
  /** Items that are kept. */
  readonly itemsMax: number;
}

export interface FitRecommenderOutput {
  readonly onnx: Uint8Array;
  /** Interactions that were learnt from, with the users and the kept items. */
  readonly interactions: number;
  readonly users: number;
  readonly items: number;
  /** Items that were left out, as others are more popular. */
  readonly itemsLeftOut: number;
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
}

/**
 * Fits a recommender and writes it as ONNX. It depends on the input alone: same interactions, trainer and bounds, same bytes. Items are
 * numbered by falling popularity, of equally popular ones by their id: of equal scores the more popular item comes first.
 *
 * Throws UNPROCESSABLE when nothing can be learnt from these interactions with this trainer.
 */
export function run(input: FitRecommenderInput, context: TaskContext): FitRecommenderOutput {
  const cpuStart = context.cpuSeconds();
  const wallStart = context.wallSeconds();
  const file = readInteractions(input.interactions);
  const all = rowsOf(file, input.from);
  const ranked = byPopularity(file, all, input.trainer);
  const kept = ranked.slice(0, input.itemsMax);
  context.progress(1, 4, `${kept.length} of ${ranked.length} items`);
  const rows = kept.length === ranked.length ? all : withItems(file, all, kept);
  const interactions = tableOf(file, rows, kept);
  const onnx = unlessUnsound(input.trainer, () => {
    const popularity = fitMostPopular(interactions, decayOf(input.trainer)).popularity;
    const model = fitted(interactions, input.trainer);
    context.progress(3, 4);
    const ids = kept.map((item) => file.items[item] as string);
    return encodeItemModel(model, {
      ids,
      codes: ids.map(codeOf),
      popularity,
      parameters: parametersOf(input.trainer),
    });
  });
  return {
    onnx,
    interactions: rows.length,
    users: new Set(rowValues(file.userOf, rows)).size,
    items: kept.length,
    itemsLeftOut: ranked.length - kept.length,
    cpuSeconds: context.cpuSeconds() - cpuStart,
    wallSeconds: context.wallSeconds() - wallStart,
  };
}

function fitted(interactions: Interactions, trainer: RecommenderTrainer): ItemModelToEncode {
  switch (trainer.kind) {
    case 'ease':
      return fitEase(interactions, { lambda: trainer.lambda });
    case 'item-knn':
      return fitItemKnn(interactions, { k: trainer.k, shrinkage: trainer.shrinkage });
    case 'most-popular':
      return fitMostPopular(interactions, decayOf(trainer));
  }
}

function decayOf(trainer: RecommenderTrainer): { readonly halfLife?: number } {
  return trainer.kind === 'most-popular' && trainer.halfLifeMs !== undefined
    ? { halfLife: trainer.halfLifeMs }
    : {};
}

function parametersOf({ kind: _kind, ...parameters }: RecommenderTrainer): Readonly<Record<string, number>> {
  return parameters;
}

function rowsOf({ rows, sides }: InteractionsFile, from: FitRecommenderInput['from']): Uint32Array {
  const all = Uint32Array.from({ length: rows }, (_, row) => row);
  return from === 'all' ? all : all.filter((row) => sides[row] === SIDE.earlier);
}

/** Numbers of the items that the rows have, the most popular first. The file's items ascend, so that their number tells the rest. */
function byPopularity(file: InteractionsFile, rows: Uint32Array, trainer: RecommenderTrainer): number[] {
  const table = tableOf(file, rows, []);
  const { popularity } = fitMostPopular(table, decayOf(trainer));
  return [...table.items.ids.keys()]
    .map((index) => ({ item: Number(table.items.ids[index]), popularity: popularity[index] as number }))
    .sort((a, b) => b.popularity - a.popularity || a.item - b.item)
    .map(({ item }) => item);
}

function withItems(file: InteractionsFile, rows: Uint32Array, kept: readonly number[]): Uint32Array {
  const isKept = new Uint8Array(file.items.length);
  for (const item of kept) isKept[item] = 1;
  return rows.filter((row) => isKept[file.itemOf[row] as number] === 1);
}

/** The interactions of the rows, with the given items first. */
function tableOf(file: InteractionsFile, rows: Uint32Array, items: readonly number[]): Interactions {
  return interactionsOf(
    {
      users: rowValues(file.userOf, rows),
      items: rowValues(file.itemOf, rows),
      weights: rowValues(file.weights, rows),
      times: rowValues(file.times, rows),
    },
    { items },
  );
}

function rowValues(values: ArrayLike<number>, rows: Uint32Array): Float64Array {
  return Float64Array.from(rows, (row) => values[row] as number);
}

function unlessUnsound<TResult>(trainer: RecommenderTrainer, work: () => TResult): TResult {
  try {
    return work();
  } catch (error) {
    // The trainers throw plain errors and RangeErrors that say what is wrong with the data or the options.
    if (!(error instanceof Error) || (error.name !== 'RangeError' && error.name !== 'Error')) throw error;
    throw new PlatformError(
      'UNPROCESSABLE',
      `The ${trainer.kind} trainer cannot learn from these interactions: ${error.message}`,
      { cause: error },
    );
  }
}
