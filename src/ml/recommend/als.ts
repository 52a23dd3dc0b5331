import { SeededRandom } from '../random.ts';
import { rowSolver, sharedPart, solveRows } from './als-solve.ts';
import type { Interactions, InteractionsChange, UserItems } from './interactions.ts';
import { checkUserItems } from './interactions.ts';

/** Factors of a user or an item. */
export const ALS_FACTORS_MAX = 512;
/** Sweeps of a fit, and passes of an update. */
export const ALS_SWEEPS_MAX = 1000;

/**
 * Implicit matrix factorisation (Hu, Koren and Volinsky, "Collaborative filtering for implicit feedback
 * datasets", 2008) in the form of Rendle and others ("Revisiting the performance of iALS on item
 * recommendation benchmarks", 2022): the score of item i for user u is the product of their factors.
 */
export interface AlsModel {
  readonly kind: 'als';
  readonly factors: number;
  readonly alpha0: number;
  readonly regularisation: number;
  /** `factors` values for each user. */
  readonly users: Float64Array;
  /** `factors` values for each item. */
  readonly items: Float64Array;
  /** `alpha0 * V'V` of the items' factors V: what the fold-in of any user needs. */
  readonly shared: Float64Array;
}

export interface AlsOptions {
  /** Length of the factors, 1 to {@link ALS_FACTORS_MAX}. Default 32. */
  readonly factors?: number;
  /** Weight of all pairs, seen or not, whose score is drawn to 0; above 0. Default 0.3. */
  readonly alpha0?: number;
  /**
   * Strength of the L2 penalty, above 0. It is multiplied by the number of a user's interactions + alpha0 times
   * the number of items; for items likewise. Default 0.01.
   */
  readonly regularisation?: number;
  /** Times that all users, then all items, are solved; 1 to {@link ALS_SWEEPS_MAX}. Default 16. */
  readonly sweeps?: number;
  /** Seed of the items' first factors: normal with deviation 0.1 / sqrt(factors). Default 0. */
  readonly seed?: number;
}

/**
 * Fits the factors by alternating least squares. Each half-sweep solves exactly, for every user with items I:
 * `(alpha0 V'V + sum of w v v' + regularisation (|I| + alpha0 * items) 1) x = sum of w v` over I, with the
 * factors v and weights w of the user's items; then for every item likewise. So the objective (see
 * {@link alsObjective}) never rises.
 *
 * @throws RangeError on options out of range.
 */
export function fitAls(interactions: Interactions, options: AlsOptions = {}): AlsModel {
  const { factors = 32, alpha0 = 0.3, regularisation = 0.01, sweeps = 16, seed = 0 } = options;
  checkWhole('factors', factors, ALS_FACTORS_MAX);
  checkWhole('sweeps', sweeps, ALS_SWEEPS_MAX);
  checkPositive('alpha0', alpha0);
  checkPositive('regularisation', regularisation);
  const random = new SeededRandom(seed);
  const deviation = 0.1 / Math.sqrt(factors);
  const items = new Float64Array(interactions.items.size * factors).map(() => deviation * random.normal());
  const users = new Float64Array(interactions.users.size * factors);
  const model = { kind: 'als', factors, alpha0, regularisation, users, items } as const;
  const everybody = Array.from({ length: interactions.users.size }, (_, user) => user);
  const everything = Array.from({ length: interactions.items.size }, (_, item) => item);
  for (let sweep = 0; sweep < sweeps; sweep += 1)
    solveBoth(model, interactions, { users: everybody, items: everything });
  return withShared(model);
}

/**
 * The model after new interactions, by fold-in: the factors of the users of the new interactions are solved
 * with those of the items held fixed, then the items of the new ones with the users fixed, `passes` times. All
 * others keep their factors, so this is not what a fit on everything gives; but on everything, the objective
 * falls. New users and items start at 0. The given model stays as it is.
 *
 * @param options `passes`: 1 to {@link ALS_SWEEPS_MAX}, default 2: in the first, new users do not see new items
 *   yet.
 * @throws RangeError on passes out of range.
 */
export function updateAls(
  model: AlsModel,
  change: InteractionsChange,
  options: { readonly passes?: number } = {},
): AlsModel {
  const { passes = 2 } = options;
  checkWhole('passes', passes, ALS_SWEEPS_MAX);
  const { after } = change;
  const updated = {
    ...model,
    users: lengthened(model.users, after.users.size * model.factors),
    items: lengthened(model.items, after.items.size * model.factors),
  };
  for (let pass = 0; pass < passes; pass += 1) solveBoth(updated, after, change);
  return withShared(updated);
}

/**
 * The factors of a user, known or not, from items alone: what a half-sweep over the users gives.
 *
 * @throws RangeError on items that the model does not know, that do not ascend, or have unsound weights.
 */
export function foldInUser(model: AlsModel, given: UserItems): Float64Array {
  checkUserItems(given, model.items.length / model.factors);
  const factors = new Float64Array(model.factors);
  const { solve } = rowSolver({ ...model, fixed: model.items }, model.shared);
  solve({ columns: given.items, weights: given.weights }, factors);
  return factors;
}

/** @internal The products of a user's folded-in factors with those of each item. */
export function scoreAls(model: AlsModel, given: UserItems): Float64Array {
  const { factors, items } = model;
  const user = foldInUser(model, given);
  return Float64Array.from({ length: items.length / factors }, (_, item) => {
    let score = 0;
    for (let factor = 0; factor < factors; factor += 1)
      score += (user[factor] as number) * (items[item * factors + factor] as number);
    return score;
  });
}

/**
 * What alternating least squares makes small: over the interactions, the sum of weight times (1 - score)
 * squared; plus alpha0 times the sum of all scores squared; plus the penalty of {@link AlsOptions}.
 *
 * @throws RangeError when the model has other users or items than the interactions.
 */
export function alsObjective(model: AlsModel, interactions: Interactions): number {
  const { factors, users, items, alpha0, regularisation } = model;
  const { starts, columns, weights } = interactions.byUser;
  const [userCount, itemCount] = [interactions.users.size, interactions.items.size];
  if (users.length !== userCount * factors || items.length !== itemCount * factors)
    throw new RangeError(
      `The model has ${users.length / factors} users and ${items.length / factors} items, ` +
        `the interactions have ${userCount} and ${itemCount}`,
    );
  let sum = 0;
  for (let user = 0; user < userCount; user += 1) {
    for (let entry = starts[user] as number; entry < (starts[user + 1] as number); entry += 1) {
      let score = 0;
      for (let factor = 0; factor < factors; factor += 1)
        score +=
          (users[user * factors + factor] as number) *
          (items[(columns[entry] as number) * factors + factor] as number);
      sum += (weights[entry] as number) * (1 - score) ** 2;
    }
  }
  // The sum of all squared scores is the trace of U'U V'V.
  const gram = sharedPart({ ...model, fixed: users });
  const other = sharedPart({ ...model, fixed: items, alpha0: 1 });
  for (let place = 0; place < gram.length; place += 1)
    sum += (gram[place] as number) * (other[place] as number);
  const sides = [
    { vectors: users, starts, others: itemCount },
    { vectors: items, starts: interactions.byItem.starts, others: userCount },
  ];
  for (const side of sides) {
    for (let place = 0; place < side.vectors.length; place += 1) {
      const row = Math.floor(place / factors);
      const count = (side.starts[row + 1] as number) - (side.starts[row] as number);
      sum += regularisation * (count + alpha0 * side.others) * (side.vectors[place] as number) ** 2;
    }
  }
  return sum;
}

/** One sweep over some users, then some items, in place. */
function solveBoth(
  model: Omit<AlsModel, 'shared'>,
  interactions: Interactions,
  who: { readonly users: Iterable<number>; readonly items: Iterable<number> },
): void {
  const { users, items } = model;
  solveRows({ ...model, rows: interactions.byUser, fixed: items }, users, who.users);
  solveRows({ ...model, rows: interactions.byItem, fixed: users }, items, who.items);
}

function withShared(model: Omit<AlsModel, 'shared'>): AlsModel {
  return { ...model, shared: sharedPart({ ...model, fixed: model.items }) };
}

function lengthened(values: Float64Array, length: number): Float64Array {
  const longer = new Float64Array(length);
  longer.set(values);
  return longer;
}

function checkWhole(name: string, value: number, max: number): void {
  if (!Number.isSafeInteger(value) || value < 1 || value > max)
    throw new RangeError(`${name} must be a whole number from 1 to ${max}, not ${value}`);
}

function checkPositive(name: string, value: number): void {
  if (!(value > 0 && value < Number.POSITIVE_INFINITY))
    throw new RangeError(`${name} must be a finite number above 0, not ${value}`);
}
