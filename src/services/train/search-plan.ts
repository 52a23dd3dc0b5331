import {
  type InnerTrainer,
  SEARCH_LIMITS,
  SEARCH_METRICS,
  type SearchMethod,
  type TrainerSearch,
  type TunedParameter,
} from '../../define/index.ts';
import {
  type Parameter,
  type ParameterValues,
  type Search,
  type SearchAlgorithm,
  type SearchOptions,
  startSearch,
  type Trial,
} from '../../ml/index.ts';

const ALGORITHMS: Readonly<Record<SearchMethod, SearchAlgorithm>> = {
  tpe: 'tpe',
  random: 'random',
  latinHypercube: 'latin-hypercube',
  grid: 'grid',
  hyperband: 'hyperband',
};

const KINDS = {
  uniform: 'real',
  logUniform: 'log-real',
  integers: 'whole',
  logIntegers: 'log-whole',
} as const;

/** Share of the trials that are drawn before TPE has something to learn from, and bounds of their number. */
const DRAWN = { share: 0.25, least: 2, most: 10 } as const;
/** Seeds that a search takes. */
const SEEDS = 2 ** 32;

/** Begins the search of a trainer, which only asks and is told. The same trainer and seed ask the same. */
export function beginSearch(trainer: InnerTrainer, search: TrainerSearch, seed: number): Search {
  const space = search.space.map(parameterOf);
  const options: SearchOptions = {
    algorithm: ALGORITHMS[search.by],
    goal: SEARCH_METRICS[search.metric],
    seed: ((seed % SEEDS) + SEEDS) % SEEDS,
    first: firstOf(trainer, search),
    ...(search.gridSteps === undefined ? {} : { gridSteps: search.gridSteps }),
    ...(trainer.kind !== 'gbdt' || search.by !== 'hyperband'
      ? {}
      : {
          hyperband: {
            resourceMin: search.roundsMin ?? 1,
            resourceMax: trainer.rounds,
            reduction: search.reduction ?? 3,
          },
        }),
  };
  const { trialsMax } = SEARCH_LIMITS;
  const trials = search.trials ?? startSearch(space, options).state().plan.trialsMax;
  return startSearch(space, {
    ...options,
    trialsMax: Math.min(trials, trialsMax),
    tpe: { startupTrials: Math.min(DRAWN.most, Math.max(DRAWN.least, Math.round(trials * DRAWN.share))) },
  });
}

/** The trainer with what a trial tries. */
export function trainerOf(
  trainer: InnerTrainer,
  trial: Pick<Trial, 'parameters' | 'resource'>,
): InnerTrainer {
  // The rest of a trainer is not looked at: its search is taken away, the values are put in.
  const { search: _search, ...base } = trainer as InnerTrainer & { readonly search?: TrainerSearch };
  const rounds = trial.resource === null ? {} : { rounds: trial.resource };
  return { ...base, ...trial.parameters, ...rounds } as InnerTrainer;
}

/** The values of a trial, which are numbers as no others are searched. */
export function numbersOf(parameters: ParameterValues): Record<string, number> {
  return Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, Number(value)]));
}

function parameterOf(parameter: TunedParameter): Parameter {
  const { name, kind } = parameter;
  if (kind === 'choices') return { name, kind: 'choice', options: parameter.values };
  return { name, kind: KINDS[kind], least: parameter.low, most: parameter.high };
}

/** The trainer's own values, where the space has them all: what a search finds is then no worse than them on its folds. */
function firstOf(trainer: InnerTrainer, { space, by }: TrainerSearch): ParameterValues[] {
  if (by === 'grid') return [];
  const own = trainer as unknown as Readonly<Record<string, unknown>>;
  const isThere = space.every((parameter) => takes(parameter, own[parameter.name]));
  return isThere ? [Object.fromEntries(space.map(({ name }) => [name, own[name] as number]))] : [];
}

function takes(parameter: TunedParameter, value: unknown): value is number {
  if (typeof value !== 'number') return false;
  if (parameter.kind === 'choices') return parameter.values.includes(value);
  if (parameter.kind.endsWith('ntegers') && !Number.isSafeInteger(value)) return false;
  return value >= parameter.low && value <= parameter.high;
}
