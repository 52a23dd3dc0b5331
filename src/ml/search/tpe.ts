import type { SeededRandom } from '../random.ts';
import type { SearchPlan } from './options.ts';
import { drawPoint, logDensity, parzenDensity } from './parzen.ts';
import type {
  ChoiceParameter,
  NumberParameter,
  ParameterValue,
  ParameterValues,
  SearchSpace,
} from './space.ts';
import type { Trial } from './trial.ts';
import { bestFirst } from './trial.ts';
import { chooseValues, fromUnit, sizeOf, toUnit, valueOf } from './values.ts';

/** Configurations of one resource that count as good ones, at most: more would make the target wide again. */
const GOOD_MAX = 25;

interface Proposing {
  readonly plan: SearchPlan;
  readonly random: SeededRandom;
  readonly good: readonly ParameterValues[];
  readonly bad: readonly ParameterValues[];
}

/**
 * @internal Proposes a configuration by the tree-structured Parzen estimator (Bergstra et al., "Algorithms
 * for hyper-parameter optimization", 2011): of some values drawn from the density of the good configurations,
 * the one where that density exceeds the density of the others the most; parameter by parameter, and for each
 * only from the configurations in which it was active.
 *
 * Configurations that failed, and those still running, count as bad ones: the former should not be repeated,
 * and of the latter it keeps parallel proposals apart (a constant liar). With several resources the best of
 * each are good ones: scores of different resources do not compare, and the few trials of the largest one
 * alone would say little.
 */
export function proposeByTpe(
  space: SearchSpace,
  trials: readonly Trial[],
  how: { readonly plan: SearchPlan; readonly random: SeededRandom },
): ParameterValues {
  const proposing = { ...how, ...partedConfigurations(trials, how.plan) };
  return chooseValues(space, (parameter) =>
    parameter.kind === 'choice' ? proposeOption(parameter, proposing) : proposeNumber(parameter, proposing),
  );
}

/** Each configuration once, however many resources it was tried with. */
function partedConfigurations(
  trials: readonly Trial[],
  plan: SearchPlan,
): { good: ParameterValues[]; bad: ParameterValues[] } {
  const roots: number[] = [];
  for (const { continues } of trials)
    roots.push(continues === null ? roots.length : (roots[continues] as number));
  const levels = [...new Set(trials.map((trial) => trial.resource))]
    .map((resource) =>
      bestFirst(
        trials.filter((trial) => trial.resource === resource),
        plan.goal,
      ),
    )
    .sort((a, b) => b.length - a.length);
  const goodRoots = new Set<number>();
  levels.forEach((ranked, level) => {
    const share = Math.min(GOOD_MAX, Math.round(plan.tpe.goodShare * ranked.length));
    const count = level === 0 ? Math.max(1, share) : share;
    for (const trial of ranked.slice(0, count)) goodRoots.add(roots[trial.number] as number);
  });
  for (const { number, status } of trials) {
    if (status === 'failed') goodRoots.delete(roots[number] as number);
  }
  const configurations = trials.filter((trial) => trial.continues === null);
  return {
    good: configurations.filter(({ number }) => goodRoots.has(number)).map((trial) => trial.parameters),
    bad: configurations.filter(({ number }) => !goodRoots.has(number)).map((trial) => trial.parameters),
  };
}

function proposeNumber(parameter: NumberParameter, proposing: Proposing): ParameterValue {
  const { plan, random } = proposing;
  const pointsOf = (trials: readonly ParameterValues[]): number[] =>
    trials
      .map((values) => valueOf(values, parameter.name))
      .filter((value) => typeof value === 'number')
      .map((value) => toUnit(parameter, value));
  const narrowest = 0.5 / sizeOf(parameter);
  const good = parzenDensity(pointsOf(proposing.good), narrowest);
  const bad = parzenDensity(pointsOf(proposing.bad), narrowest);
  let best: ParameterValue = parameter.least;
  let bestRatio = Number.NEGATIVE_INFINITY;
  for (let candidate = 0; candidate < plan.tpe.candidates; candidate += 1) {
    const value = fromUnit(parameter, drawPoint(good, random)) as number;
    const point = toUnit(parameter, value);
    const ratio = logDensity(good, point) - logDensity(bad, point);
    if (ratio <= bestRatio) continue;
    best = value;
    bestRatio = ratio;
  }
  return best;
}

function proposeOption(parameter: ChoiceParameter, proposing: Proposing): ParameterValue {
  const { plan, random } = proposing;
  const good = optionShares(parameter, proposing.good);
  const bad = optionShares(parameter, proposing.bad);
  let best = 0;
  let bestRatio = Number.NEGATIVE_INFINITY;
  for (let candidate = 0; candidate < plan.tpe.candidates; candidate += 1) {
    const option = drawIndex(good, random);
    const ratio = (good[option] as number) / (bad[option] as number);
    if (ratio <= bestRatio) continue;
    best = option;
    bestRatio = ratio;
  }
  return parameter.options[best] as ParameterValue;
}

/** Share of each option among the trials; a prior of one trial more for each keeps all of them possible. */
function optionShares(parameter: ChoiceParameter, trials: readonly ParameterValues[]): Float64Array {
  const counts = new Float64Array(parameter.options.length).fill(1);
  let total = counts.length;
  for (const values of trials) {
    const value = valueOf(values, parameter.name);
    if (value === undefined) continue;
    const option = parameter.options.indexOf(value);
    counts[option] = (counts[option] as number) + 1;
    total += 1;
  }
  return counts.map((count) => count / total);
}

function drawIndex(shares: Float64Array, random: SeededRandom): number {
  let left = random.uniform();
  for (let index = 0; index < shares.length - 1; index += 1) {
    left -= shares[index] as number;
    if (left < 0) return index;
  }
  return shares.length - 1;
}
