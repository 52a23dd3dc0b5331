import { SeededRandom } from '../random.ts';
import { gridPoints } from './grid.ts';
import type { HyperbandBracket } from './hyperband.ts';
import { hyperbandBrackets, nextHyperbandPlace } from './hyperband.ts';
import type { SearchOptions, SearchPlan } from './options.ts';
import { SEARCH_TRIALS_MAX } from './options.ts';
import { readPlan } from './plan.ts';
import { readState } from './read-state.ts';
import type { ParameterValues, SearchSpace } from './space.ts';
import { readSpace } from './space.ts';
import { proposeByTpe } from './tpe.ts';
import type { SearchState, Trial, TrialOutcome } from './trial.ts';
import { chooseValues, fromUnit } from './values.ts';

/** Longest text that is kept of a failure. */
const ERROR_LENGTH_MAX = 1000;

/**
 * A search for the best hyper-parameters that only asks and is told: who evaluates the trials, where and how
 * many at once, is not its business. It has no state beside its trials, and each proposal is drawn from a
 * generator seeded by its number, so a search restored from JSON goes on exactly as the one that was saved.
 */
export class Search {
  readonly #space: SearchSpace;
  readonly #plan: SearchPlan;
  readonly #trials: Trial[];
  readonly #brackets: readonly HyperbandBracket[];
  /** Computed when first needed. */
  #grid: readonly ParameterValues[] | undefined;

  /** @internal Use {@link startSearch} or {@link restoreSearch}. */
  constructor(state: SearchState) {
    this.#space = state.space;
    this.#plan = state.plan;
    this.#trials = [...state.trials];
    this.#brackets = state.plan.hyperband === undefined ? [] : hyperbandBrackets(state.plan.hyperband);
  }

  /**
   * The next trial to evaluate, or nothing when the search gives out no more: its trials, failures or points
   * of a grid are used up. Trials given out before may still be told. Never waits for another trial.
   */
  ask(): Trial | undefined {
    const { algorithm, trialsMax, failuresMax } = this.#plan;
    if (this.#trials.length >= trialsMax) return undefined;
    if (this.#trials.filter((trial) => trial.status === 'failed').length >= failuresMax) return undefined;
    if (algorithm === 'hyperband') return this.#askHyperband();
    const parameters = this.#propose(this.#trials.length);
    return parameters === undefined ? undefined : this.#add({ parameters });
  }

  /**
   * Tells what became of a trial.
   *
   * @throws RangeError when there is no such trial, when it was told already, or when the outcome has not
   *   exactly one of a finite score and an error.
   */
  tell(outcome: TrialOutcome): Trial {
    const { number, score, error, seconds } = outcome;
    const trial = this.#trials[number];
    if (trial === undefined) throw new RangeError(`There is no trial ${number}`);
    if (trial.status !== 'running') throw new RangeError(`Trial ${number} was told already: ${trial.status}`);
    if ((score === undefined) === (error === undefined)) {
      throw new RangeError(`Trial ${number} must be told either a score or an error`);
    }
    if (score !== undefined && !Number.isFinite(score)) {
      throw new RangeError(`The score of trial ${number} must be a finite number, not ${score}`);
    }
    if (seconds !== undefined && !(Number.isFinite(seconds) && seconds >= 0)) {
      throw new RangeError(`The seconds of trial ${number} must be a finite number from 0, not ${seconds}`);
    }
    const told: Trial = {
      ...trial,
      status: score === undefined ? 'failed' : 'done',
      // Adding 0 makes -0 a 0, which JSON would do later.
      score: score === undefined ? null : score + 0,
      seconds: seconds === undefined ? null : seconds + 0,
      error: error === undefined ? null : error.slice(0, ERROR_LENGTH_MAX),
    };
    this.#trials[number] = told;
    return told;
  }

  /** Everything there is to know, as plain JSON. */
  state(): SearchState {
    return structuredClone({ version: 1, space: this.#space, plan: this.#plan, trials: this.#trials });
  }

  #askHyperband(): Trial {
    const place = nextHyperbandPlace(this.#plan, this.#brackets, this.#trials);
    const { bracket, rung, resource, promoted } = place;
    if (promoted !== undefined) {
      const { parameters, number } = promoted;
      return this.#add({ parameters, resource, bracket, rung, continues: number });
    }
    const index = this.#trials.filter((trial) => trial.continues === null).length;
    return this.#add({ parameters: this.#propose(index) ?? {}, resource, bracket, rung });
  }

  #add(given: Partial<Trial> & { readonly parameters: ParameterValues }): Trial {
    const trial: Trial = {
      number: this.#trials.length,
      parameters: given.parameters,
      resource: given.resource ?? null,
      continues: given.continues ?? null,
      bracket: given.bracket ?? null,
      rung: given.rung ?? null,
      status: 'running',
      score: null,
      seconds: null,
      error: null,
    };
    this.#trials.push(trial);
    return trial;
  }

  /** New configuration number `index`; nothing when a grid has no more points. */
  #propose(index: number): ParameterValues | undefined {
    const { first, algorithm, seed, hyperband, gridSteps } = this.#plan;
    if (index < first.length) return first[index];
    const random = new SeededRandom(seed * 2 ** 20 + index);
    switch (algorithm) {
      case 'grid':
        this.#grid ??= gridPoints(this.#space, gridSteps, SEARCH_TRIALS_MAX);
        return this.#grid[index - first.length];
      case 'random':
        return this.#random(random);
      case 'latin-hypercube':
        return this.#latin(index - first.length, random);
      case 'tpe':
        return this.#tpe(random);
      case 'hyperband':
        return hyperband?.proposal === 'tpe' ? this.#tpe(random) : this.#random(random);
    }
  }

  #random(random: SeededRandom): ParameterValues {
    return chooseValues(this.#space, (parameter) => fromUnit(parameter, random.uniform()));
  }

  /**
   * One place of each parameter's range, cut into as many pieces as there are trials, for each trial (McKay,
   * Beckman and Conover, 1979).
   */
  #latin(index: number, random: SeededRandom): ParameterValues {
    const { seed, trialsMax, first } = this.#plan;
    const count = Math.max(1, trialsMax - first.length);
    return chooseValues(this.#space, (parameter, column) => {
      const order = Int32Array.from({ length: count }, (_, piece) => piece);
      // Numbers above all trials, so that these draws are not those of a trial.
      new SeededRandom(seed * 2 ** 20 + SEARCH_TRIALS_MAX + column).shuffle(order);
      return fromUnit(parameter, ((order[index] as number) + random.uniform()) / count);
    });
  }

  #tpe(random: SeededRandom): ParameterValues {
    const done = this.#trials.filter((trial) => trial.status === 'done' && trial.continues === null);
    if (done.length < this.#plan.tpe.startupTrials) return this.#random(random);
    return proposeByTpe(this.#space, this.#trials, { plan: this.#plan, random });
  }
}

/**
 * Starts a search.
 *
 * @example
 *   const search = startSearch(space, { algorithm: 'tpe', goal: 'minimise', trialsMax: 50 });
 *   for (let trial = search.ask(); trial !== undefined; trial = search.ask()) {
 *     search.tell({ number: trial.number, score: evaluate(trial.parameters) });
 *   }
 *
 * @throws RangeError naming the parameter or option that is wrong.
 */
export function startSearch(space: SearchSpace, options: SearchOptions): Search {
  const read = readSpace(space);
  return new Search({ version: 1, space: read, plan: readPlan(read, options), trials: [] });
}

/**
 * Restores a search from what {@link Search.state} gave, also by way of JSON.
 *
 * @throws RangeError saying what is not as it was given.
 */
export function restoreSearch(state: unknown): Search {
  return new Search(readState(state));
}
