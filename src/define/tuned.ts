import { type Duration, durationMs } from './duration.ts';
import { gbdt, type GbdtTrainer, type InnerTrainer, logistic, type LogisticTrainer } from './model.ts';
import {
  SEARCH_LIMITS,
  SEARCH_METRICS,
  type SearchMethod,
  type SearchMetric,
  type SearchValidation,
  type TrainerSearch,
  type TunedParameter,
  type TunedRange,
} from './search-space.ts';

/** Options that a search may set, and of which of them only whole numbers make sense. */
const TUNABLE = {
  gbdt: {
    rounds: 'whole',
    learningRate: 'real',
    depthMax: 'whole',
    leavesMax: 'whole',
    lambda: 'real',
    alpha: 'real',
    hessianMin: 'real',
    leafRowsMin: 'whole',
    rowFraction: 'real',
    columnFraction: 'real',
  },
  logistic: { c: 'real', l1Ratio: 'real' },
} as const satisfies {
  readonly gbdt: Readonly<Partial<Record<keyof GbdtTrainer, 'whole' | 'real'>>>;
  readonly logistic: Readonly<Partial<Record<keyof LogisticTrainer, 'whole' | 'real'>>>;
};

/** Options of a trainer with the values to try. */
export type TunedSpace<TTrainer extends InnerTrainer> = {
  readonly [TName in keyof (typeof TUNABLE)[TTrainer['kind']]]?: TunedRange;
};

/** A trainer some of whose options are searched. */
export type Tuned<TTrainer extends InnerTrainer> = TTrainer & { readonly search: TrainerSearch };

export interface TunedOptions {
  /** Trials, failed ones included: 1 to 1,000. Default 40; of `grid` all points, of `hyperband` one pass. */
  readonly trials?: number;
  /** Default `'tpe'`. */
  readonly by?: SearchMethod;
  /** Default `'averagePrecision'`, of a trainer that ranks `'ndcg10'`. */
  readonly metric?: SearchMetric;
  /** Trials at a time over all processes, 1 to 64. Part of the outcome: a trial learns from those that were told before it. Default 4. */
  readonly parallel?: number;
  /** Default: `prequential()` where the split is by time, else `stratified()`. */
  readonly validate?: SearchValidation;
  /** After this time no trial begins: the best of those that did is taken. Default: no limit but that of the run. */
  readonly within?: Duration;
  /** Of `grid`: values of a numeric option, evenly spaced with both bounds, 2 to 100. Default 5. */
  readonly gridSteps?: number;
  /** Of `hyperband`: fewest trees of a trial. Default a 27th of the trainer's `rounds`, 1 at least. */
  readonly roundsMin?: number;
  /** Of `hyperband`: of how many trials one goes on, with so many times the trees, 2 to 10. Default 3. */
  readonly reduction?: number;
}

const METHODS: readonly SearchMethod[] = ['tpe', 'random', 'latinHypercube', 'grid', 'hyperband'];

/**
 * A trainer whose options are searched in every run, before the model is fitted: each trial is fitted and judged on the training side
 * alone, and the model is fitted with the values of the best one. All methods but `grid` try the trainer's own values first, where the
 * space has them.
 *
 * Throws a TypeError that names an option which the trainer has not, a bound that it does not take, and an unsound option of the
 * search.
 *
 * @example
 *   tuned(
 *     gbdt({ rounds: 200 }),
 *     { learningRate: logUniform(0.01, 0.3), depthMax: integers(2, 8) },
 *     { trials: 40, metric: 'averagePrecision' },
 *   );
 */
export function tuned<TTrainer extends InnerTrainer>(
  trainer: TTrainer,
  space: TunedSpace<TTrainer>,
  options: TunedOptions = {},
): Tuned<TTrainer> {
  // Callers without types reach this too.
  if (!Object.hasOwn(TUNABLE, trainer.kind)) {
    throw new TypeError(`tuned(): takes gbdt() and logistic(); got ${String(trainer.kind)}`);
  }
  if ('search' in trainer) throw new TypeError('tuned(): the trainer is tuned already');
  const { by = 'tpe', metric = metricOf(trainer), parallel = 4, validate, within } = options;
  if (!METHODS.includes(by)) {
    throw new TypeError(`tuned(): 'by' is one of ${METHODS.join(', ')}; got '${String(by)}'`);
  }
  if (!Object.hasOwn(SEARCH_METRICS, metric)) {
    throw new TypeError(
      `tuned(): 'metric' is one of ${Object.keys(SEARCH_METRICS).join(', ')}; got '${String(metric)}'`,
    );
  }
  assertWhole('parallel', parallel, 1, SEARCH_LIMITS.parallelMax);
  const search: TrainerSearch = {
    space: readSpace(trainer, space as Readonly<Record<string, TunedRange | undefined>>),
    by,
    metric,
    parallel,
    ...trialsOf(by, options.trials),
    ...(validate === undefined ? {} : { validate }),
    ...(within === undefined ? {} : { withinMs: readWithin(within) }),
    ...gridOf(by, options.gridSteps),
    ...(by === 'hyperband' ? hyperbandOf(trainer, space, options) : noHyperband(options)),
  };
  if (by === 'grid' && search.trials === undefined) assertGrid(search);
  return { ...trainer, search };
}

function metricOf(trainer: InnerTrainer): SearchMetric {
  return trainer.kind === 'gbdt' && trainer.objective === 'rank' ? 'ndcg10' : 'averagePrecision';
}

function readSpace(
  trainer: InnerTrainer,
  space: Readonly<Record<string, TunedRange | undefined>>,
): TunedParameter[] {
  const known: Readonly<Record<string, 'whole' | 'real'>> = TUNABLE[trainer.kind];
  const given = Object.entries(space).filter(([, range]) => range !== undefined);
  const { parametersMax } = SEARCH_LIMITS;
  if (given.length < 1 || given.length > parametersMax) {
    throw new TypeError(
      `tuned(): the space has 1 to ${String(parametersMax)} options; got ${String(given.length)}`,
    );
  }
  return given.map(([name, range]) => {
    const type = Object.hasOwn(known, name) ? known[name] : undefined;
    if (type === undefined) {
      throw new TypeError(
        `tuned(): ${trainer.kind} has no option '${name}' to search; it has ${Object.keys(known).join(', ')}`,
      );
    }
    assertRange(trainer, { name, type }, range as TunedRange);
    return { name, ...(range as TunedRange) };
  });
}

/** The bounds of an option are those that the trainer takes: it is asked. */
function assertRange(
  trainer: InnerTrainer,
  { name, type }: { readonly name: string; readonly type: 'whole' | 'real' },
  range: TunedRange,
): void {
  const values = range.kind === 'choices' ? range.values : [range.low, range.high];
  const isWhole = range.kind === 'integers' || range.kind === 'logIntegers' || range.kind === 'choices';
  if (type === 'whole' && !(isWhole && values.every(Number.isSafeInteger))) {
    throw new TypeError(
      `tuned(): ${name} is whole: use integers(), logIntegers() or choices() of whole numbers`,
    );
  }
  for (const value of values) {
    try {
      remade(trainer, { [name]: value });
    } catch (error) {
      throw new TypeError(`tuned(): ${name} cannot be ${String(value)}: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
}

function remade(trainer: InnerTrainer, values: Readonly<Record<string, number>>): InnerTrainer {
  return trainer.kind === 'gbdt' ? gbdt({ ...trainer, ...values }) : logistic({ ...trainer, ...values });
}

function trialsOf(by: SearchMethod, trials: number | undefined): { readonly trials?: number } {
  if (trials !== undefined) {
    assertWhole('trials', trials, 1, SEARCH_LIMITS.trialsMax);
    return { trials };
  }
  return by === 'grid' || by === 'hyperband' ? {} : { trials: 40 };
}

function readWithin(within: Duration): number {
  const ms = durationMs(within);
  const { withinMsMin, withinMsMax } = SEARCH_LIMITS;
  if (ms >= withinMsMin && ms <= withinMsMax) return ms;
  throw new TypeError(`tuned(): 'within' is '1s' to '7d'; got '${within}'`);
}

function gridOf(by: SearchMethod, gridSteps: number | undefined): { readonly gridSteps?: number } {
  if (by === 'grid') {
    assertWhole('gridSteps', gridSteps ?? 5, 2, 100);
    return { gridSteps: gridSteps ?? 5 };
  }
  if (gridSteps !== undefined) throw new TypeError("tuned(): 'gridSteps' is for by: 'grid'");
  return {};
}

function assertGrid({ space, gridSteps = 5 }: TrainerSearch): void {
  const points = space.reduce((product, range) => product * Math.min(sizeOf(range), gridSteps), 1);
  if (points <= SEARCH_LIMITS.trialsMax) return;
  throw new TypeError(
    `tuned(): the grid has up to ${String(points)} points, a search takes ${String(SEARCH_LIMITS.trialsMax)}: use fewer gridSteps or another method`,
  );
}

function sizeOf(range: TunedRange): number {
  switch (range.kind) {
    case 'choices':
      return range.values.length;
    case 'integers':
    case 'logIntegers':
      return range.high - range.low + 1;
    case 'uniform':
    case 'logUniform':
      return Infinity;
  }
}

function hyperbandOf(
  trainer: InnerTrainer,
  space: object,
  options: TunedOptions,
): Pick<TrainerSearch, 'roundsMin' | 'reduction'> {
  if (trainer.kind !== 'gbdt')
    throw new TypeError("tuned(): by: 'hyperband' is for gbdt(), whose trees it rations");
  if ('rounds' in space) {
    throw new TypeError("tuned(): by: 'hyperband' sets 'rounds' itself, up to those of the trainer");
  }
  if (trainer.rounds < 2) throw new TypeError("tuned(): by: 'hyperband' needs a trainer of 2 rounds or more");
  const { roundsMin = Math.max(1, Math.ceil(trainer.rounds / 27)), reduction = 3 } = options;
  assertWhole('roundsMin', roundsMin, 1, trainer.rounds - 1);
  assertWhole('reduction', reduction, 2, 10);
  return { roundsMin, reduction };
}

function noHyperband({ roundsMin, reduction }: TunedOptions): Readonly<Record<string, never>> {
  if (roundsMin === undefined && reduction === undefined) return {};
  throw new TypeError("tuned(): 'roundsMin' and 'reduction' are for by: 'hyperband'");
}

function assertWhole(name: string, value: number, low: number, high: number): void {
  if (Number.isSafeInteger(value) && value >= low && value <= high) return;
  throw new TypeError(
    `tuned(): '${name}' is a whole number from ${String(low)} to ${String(high)}; got ${String(value)}`,
  );
}

/** What a trainer searches; nothing for one whose options are given. */
export function searchOf(trainer: object): TrainerSearch | undefined {
  return 'search' in trainer ? (trainer.search as TrainerSearch) : undefined;
}
