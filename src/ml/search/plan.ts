import { gridSize } from './grid.ts';
import type { HyperbandBracket } from './hyperband.ts';
import { hyperbandBrackets, readHyperband } from './hyperband.ts';
import type { HyperbandOptions, SearchAlgorithm, SearchOptions, SearchPlan, TpeOptions } from './options.ts';
import { SEARCH_TRIALS_MAX, checkWhole } from './options.ts';
import type { ParameterValues, SearchSpace } from './space.ts';
import { shown } from './space.ts';
import { readValues } from './values.ts';

const ALGORITHMS: readonly SearchAlgorithm[] = ['grid', 'random', 'latin-hypercube', 'tpe', 'hyperband'];

/**
 * @internal Fills in the defaults.
 *
 * @throws RangeError naming the option that is out of its bounds.
 */
export function readPlan(space: SearchSpace, options: SearchOptions): SearchPlan {
  const { algorithm, goal = 'maximise', seed = 0, first = [], gridSteps = 5 } = options;
  if (!ALGORITHMS.includes(algorithm)) {
    throw new RangeError(`algorithm must be one of ${ALGORITHMS.join(', ')}, not ${shown(algorithm)}`);
  }
  if (goal !== 'maximise' && goal !== 'minimise') {
    throw new RangeError(`goal must be maximise or minimise, not ${shown(goal)}`);
  }
  checkWhole('seed', seed, { least: 0, most: 2 ** 32 - 1 });
  checkWhole('gridSteps', gridSteps, { least: 2, most: SEARCH_TRIALS_MAX });
  const hyperband = algorithm === 'hyperband' ? readHyperband(options.hyperband) : undefined;
  const trialsMax = options.trialsMax ?? defaultTrials({ space, algorithm, gridSteps, hyperband, first });
  checkWhole('trialsMax', trialsMax, { least: 1, most: SEARCH_TRIALS_MAX });
  const failuresMax = options.failuresMax ?? trialsMax;
  checkWhole('failuresMax', failuresMax, { least: 1, most: SEARCH_TRIALS_MAX });
  if (!Array.isArray(first)) throw new RangeError('first must be a list of configurations');
  return {
    algorithm,
    goal,
    trialsMax,
    failuresMax,
    seed,
    first: first.map((values: unknown, index) =>
      readValues(space, values, `Configuration ${index} of first`),
    ),
    gridSteps,
    tpe: readTpe(options.tpe ?? {}),
    ...(hyperband === undefined ? {} : { hyperband }),
  };
}

function defaultTrials(given: {
  readonly space: SearchSpace;
  readonly algorithm: SearchAlgorithm;
  readonly gridSteps: number;
  readonly hyperband: Required<HyperbandOptions> | undefined;
  readonly first: readonly ParameterValues[];
}): number {
  if (given.hyperband !== undefined) {
    return Math.min(SEARCH_TRIALS_MAX, trialsOf(hyperbandBrackets(given.hyperband)));
  }
  if (given.algorithm !== 'grid') return 100;
  const points = gridSize(given.space, given.gridSteps) + given.first.length;
  if (points <= SEARCH_TRIALS_MAX) return points;
  throw new RangeError(
    `The grid has more than ${SEARCH_TRIALS_MAX} points: use fewer gridSteps, or a trialsMax to see its beginning`,
  );
}

function trialsOf(brackets: readonly HyperbandBracket[]): number {
  return brackets.flat().reduce((sum, rung) => sum + rung.trials, 0);
}

function readTpe(options: TpeOptions): Required<TpeOptions> {
  const { startupTrials = 10, candidates = 24, goodShare = 0.1 } = options;
  checkWhole('tpe.startupTrials', startupTrials, { least: 1, most: SEARCH_TRIALS_MAX });
  checkWhole('tpe.candidates', candidates, { least: 1, most: 1000 });
  if (!(goodShare > 0 && goodShare <= 0.5)) {
    throw new RangeError(`tpe.goodShare must be above 0 and at most 0.5, not ${shown(goodShare)}`);
  }
  return { startupTrials, candidates, goodShare };
}
