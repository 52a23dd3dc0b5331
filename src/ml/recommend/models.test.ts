import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../random.ts';
import type { AlsModel } from './als.ts';
import { alsObjective, fitAls, foldInUser, updateAls } from './als.ts';
import { EASE_ITEMS_MAX, easeWeights, fitEase, updateEase } from './ease.ts';
import type { InteractionColumns, Interactions } from './interactions.ts';
import { extendInteractions, interactionsOf, itemsOfUser } from './interactions.ts';
import { fitItemKnn, itemCosine, updateItemKnn } from './item-knn.ts';
import { itemScores } from './model.ts';
import { fitMostPopular, updateMostPopular } from './most-popular.ts';

/**
 * Three users and three items:
 *
 * - Ann: 0, 1
 * - Bob: 0, 1, 2
 * - Cas: 0
 */
const small = interactionsOf(
  {
    users: ['ann', 'ann', 'bob', 'bob', 'bob', 'cas'],
    items: [0, 1, 0, 1, 2, 0],
    times: [0, 10, 10, 20, 20, 20],
  },
  { items: [0, 1, 2] },
);

/** Random interactions; whole weights, so that sums are exact. */
function randomColumns(
  seed: number,
  what: { rows: number; users: number; items: number },
): InteractionColumns {
  const random = new SeededRandom(seed);
  const drawn = (bound: number): number[] => Array.from({ length: what.rows }, () => random.integer(bound));
  // Squares favour small numbers: some items are popular.
  const items = drawn(what.items).map((item) => Math.floor(item ** 2 / what.items));
  return {
    users: drawn(what.users),
    items,
    weights: drawn(3).map((weight) => weight + 1),
    times: drawn(1000),
  };
}

/** Interactions that came in two parts, with new users and items in the second. */
const parted = fc.record({
  seed: fc.nat(),
  rows: fc.integer({ min: 1, max: 120 }),
  more: fc.integer({ min: 1, max: 20 }),
});

function change(given: { seed: number; rows: number; more: number }) {
  const before = interactionsOf(randomColumns(given.seed, { rows: given.rows, users: 12, items: 15 }));
  const columns = randomColumns(given.seed + 1, { rows: given.more, users: 16, items: 20 });
  return extendInteractions(before, columns);
}

function largestDifference(a: Float64Array, b: Float64Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((largest, value, place) => Math.max(largest, Math.abs(value - (b[place] ?? 0))), 0);
}

describe('mostPopular', () => {
  it('counts users, and halves them with age', () => {
    const none = { items: [] };
    expect([...itemScores(fitMostPopular(small), none)]).toEqual([3, 2, 1]);
    const faded = fitMostPopular(small, { halfLife: 10 });
    expect(faded.decay).toEqual({ halfLife: 10, now: 20 });
    [1.75, 1.5, 1].forEach((score, item) => expect(faded.popularity[item]).toBeCloseTo(score, 14));
    // What is later than now counts in full.
    const then = fitMostPopular(small, { halfLife: 10, now: 10 });
    [2.5, 2, 1].forEach((score, item) => expect(then.popularity[item]).toBeCloseTo(score, 14));
  });

  it('is the same bytes after an update as after a fit on everything', () => {
    fc.assert(
      fc.property(
        parted,
        fc.constantFrom(undefined, 7),
        fc.constantFrom(undefined, 999),
        (given, halfLife, now) => {
          const { before, after, ...rest } = change(given);
          const options = { ...(halfLife && { halfLife }), ...(now && { now }) };
          const updated = updateMostPopular(
            fitMostPopular(before, options),
            { before, after, ...rest },
            now ? { now } : {},
          );
          expect(updated).toEqual(fitMostPopular(after, options));
        },
      ),
    );
  });

  it('refuses what makes no sense', () => {
    expect(() => fitMostPopular(small, { halfLife: 0 })).toThrow(/half-life must be/);
    expect(() => fitMostPopular(small, { halfLife: 1, now: Number.NaN })).toThrow(/Now must be/);
    const timeless = interactionsOf({ users: ['a'], items: [1] });
    expect(() => fitMostPopular(timeless, { halfLife: 1 })).toThrow(/needs interactions with times/);
  });
});

describe('ease', () => {
  it('is what a hand finds', () => {
    const two = interactionsOf({ users: ['a', 'a', 'b'], items: [0, 1, 0] });
    // G + 1 = ((3, 1), (1, 2)), its inverse ((2, -1), (-1, 3)) / 5.
    const model = fitEase(two, { lambda: 1 });
    expect([...model.gram]).toEqual([2, 1, 1, 1]);
    const weights = easeWeights(model);
    [0, 1 / 3, 1 / 2, 0].forEach((weight, place) => expect(weights[place]).toBeCloseTo(weight, 14));
    const scores = itemScores(model, { items: [0, 1], weights: [1, 4] });
    expect(scores[0]).toBeCloseTo(2, 14);
    expect(scores[1]).toBeCloseTo(1 / 3, 14);
  });

  it('has a symmetric Gram matrix, no weight to itself, and the weights that least squares ask for', () => {
    fc.assert(
      fc.property(parted, fc.constantFrom(0.5, 20), (given, lambda) => {
        const { after } = change(given);
        const n = after.items.size;
        const model = fitEase(after, { lambda });
        const weights = easeWeights(model);
        for (let i = 0; i < n; i += 1) {
          expect(weights[i * n + i]).toBe(0);
          for (let j = 0; j < n; j += 1) {
            expect(model.gram[i * n + j]).toBe(model.gram[j * n + i]);
            if (i === j) continue;
            // Steck's condition: off the diagonal, the gradient (G + lambda) B - G is 0.
            let gradient = -(model.gram[i * n + j] ?? 0) + lambda * (weights[i * n + j] ?? 0);
            for (let k = 0; k < n; k += 1)
              gradient += (model.gram[i * n + k] ?? 0) * (weights[k * n + j] ?? 0);
            expect(Math.abs(gradient)).toBeLessThan(1e-9);
          }
        }
      }),
      { numRuns: 30 },
    );
  });

  it('scores are the weights from the items of a user, summed', () => {
    const { after } = change({ seed: 3, rows: 100, more: 10 });
    const n = after.items.size;
    const model = fitEase(after, { lambda: 5 });
    const weights = easeWeights(model);
    const user = itemsOfUser(after, 2);
    const expected = Float64Array.from({ length: n }, (_, to) =>
      Array.from(user.items).reduce(
        (sum, from, place) => sum + (user.weights?.[place] ?? 0) * (weights[from * n + to] ?? 0),
        0,
      ),
    );
    expect(largestDifference(itemScores(model, user), expected)).toBeLessThan(1e-13);
  });

  it('after an update has the Gram matrix of everything exactly, and the weights within 1e-8', () => {
    let updates = 0;
    fc.assert(
      fc.property(parted, fc.constantFrom(0.5, 20), (given, lambda) => {
        const changed = change(given);
        const held = fitEase(changed.before, { lambda });
        const copy = structuredClone(held);
        const updated = updateEase(held, changed);
        if (updated.rankSinceSolved > 0) updates += 1;
        const refit = fitEase(changed.after, { lambda });
        expect(updated.gram).toEqual(refit.gram);
        expect(largestDifference(easeWeights(updated), easeWeights(refit))).toBeLessThan(1e-10);
        expect(held).toEqual(copy);
      }),
      { numRuns: 60 },
    );
    // Both ways were taken.
    expect(updates).toBeGreaterThan(5);
    expect(updates).toBeLessThan(55);
  });

  it('stays right through a long chain of updates, and solves anew now and then', () => {
    const shape = { rows: 600, users: 80, items: 150 };
    let interactions = interactionsOf(randomColumns(1, shape));
    let model = fitEase(interactions, { lambda: 10 });
    const ranks: number[] = [];
    for (let step = 0; step < 60; step += 1) {
      const came = extendInteractions(
        interactions,
        randomColumns(step + 2, { rows: 3, users: 90, items: 155 }),
      );
      interactions = came.after;
      model = updateEase(model, came);
      ranks.push(model.rankSinceSolved);
    }
    const refit = fitEase(interactions, { lambda: 10 });
    expect(model.gram).toEqual(refit.gram);
    expect(largestDifference(easeWeights(model), easeWeights(refit))).toBeLessThan(1e-10);
    expect(ranks.filter((rank) => rank === 0).length).toBeGreaterThan(0);
    expect(Math.max(...ranks)).toBeGreaterThan(100);
  });

  it('stays right where new weights are far smaller than those they replace', () => {
    const rows = { users: ['a', 'a', 'b'], items: [0, 1, 0], weights: [1e5, 3, 2], times: [1, 1, 1] };
    const before = interactionsOf(rows, { merge: 'latest', items: [0, 1, 2, 3, 4, 5, 6, 7] });
    const came = extendInteractions(before, { users: ['a'], items: [0], weights: [0.5], times: [2] });
    const updated = updateEase(fitEase(before, { lambda: 0.1 }), came);
    const refit = fitEase(came.after, { lambda: 0.1 });
    expect(largestDifference(easeWeights(updated), easeWeights(refit))).toBeLessThan(1e-8);
  });

  it('an event delivered twice changes nothing', () => {
    const again = extendInteractions(small, { users: ['ann'], items: [1], times: [10] });
    const model = fitEase(small);
    const updated = updateEase(model, again);
    expect(updated).toEqual(model);
    expect(updated.rankSinceSolved).toBe(0);
  });

  it('refuses what makes no sense', () => {
    expect(() => fitEase(small, { lambda: 0 })).toThrow(/Lambda must be/);
    const many = Array.from({ length: EASE_ITEMS_MAX + 1 }, (_, item) => item);
    expect(() => fitEase(interactionsOf({ users: ['a'], items: [0] }, { items: many }))).toThrow(
      /8192 items at most/,
    );
  });
});

describe('itemKnn', () => {
  it('is what a hand finds', () => {
    const model = fitItemKnn(small, { k: 2 });
    const near = (a: number, b: number): number => a / Math.sqrt(b);
    // Columns: item 0 has all three users, item 1 Ann and Bob, item 2 Bob.
    expect([...model.neighbours]).toEqual([1, 2, 0, 2, 1, 0]);
    [near(2, 6), near(1, 3), near(2, 6), near(1, 2), near(1, 2), near(1, 3)].forEach((cosine, place) =>
      expect(model.similarities[place]).toBeCloseTo(cosine, 14),
    );
    const scores = itemScores(model, { items: [1] });
    [near(2, 6), 0, near(1, 2)].forEach((score, item) => expect(scores[item]).toBeCloseTo(score, 14));
    const shrunk = fitItemKnn(small, { k: 1, shrinkage: 1 });
    expect([...shrunk.neighbours]).toEqual([1, 0, 1]);
    expect(shrunk.similarities[0]).toBeCloseTo(2 / (Math.sqrt(6) + 1), 14);
  });

  it('keeps the item with the smaller index of equal ones, and none without a common user', () => {
    const ties = interactionsOf({ users: ['a', 'a', 'a', 'b'], items: [0, 1, 2, 3] });
    expect([...fitItemKnn(ties, { k: 1 }).neighbours]).toEqual([1, 0, 0, -1]);
  });

  it('is the same bytes after an update as after a fit on everything', () => {
    fc.assert(
      fc.property(parted, fc.integer({ min: 1, max: 25 }), fc.constantFrom(0, 2.5), (given, k, shrinkage) => {
        const changed = change(given);
        const held = fitItemKnn(changed.before, { k, shrinkage });
        expect(updateItemKnn(held, changed)).toEqual(fitItemKnn(changed.after, { k, shrinkage }));
      }),
    );
  });

  it('has the cosines that pairs of columns have', () => {
    const { after } = change({ seed: 9, rows: 100, more: 10 });
    const cosine = itemCosine(after);
    const model = fitItemKnn(after, { k: 3 });
    model.neighbours.forEach((neighbour, place) => {
      if (neighbour < 0) return;
      expect(cosine(Math.floor(place / 3), neighbour)).toBeCloseTo(model.similarities[place] ?? 0, 14);
    });
    expect(itemCosine(interactionsOf({ users: ['a'], items: [0] }, { items: [0, 1] }))(0, 1)).toBe(0);
  });

  it('refuses what makes no sense', () => {
    expect(() => fitItemKnn(small, { k: 0 })).toThrow(/k must be/);
    expect(() => fitItemKnn(small, { shrinkage: -1 })).toThrow(/shrinkage must be/);
  });
});

describe('als', () => {
  it('solves what a hand finds with one factor', () => {
    const one = interactionsOf({ users: ['a'], items: [0] }, { items: [0, 1] });
    const { items, users } = fitAls(one, {
      factors: 1,
      sweeps: 1,
      alpha0: 0.5,
      regularisation: 0.1,
      seed: 4,
    });
    const random = new SeededRandom(4);
    const [v, w] = [0.1 * random.normal(), 0.1 * random.normal()];
    const x = v / (0.5 * (v * v + w * w) + v * v + 0.1 * (1 + 0.5 * 2));
    expect(users[0]).toBeCloseTo(x, 14);
    expect(items[0]).toBeCloseTo(x / (0.5 * x * x + x * x + 0.1 * (1 + 0.5 * 1)), 14);
    expect(items[1]).toBe(0);
  });

  it('never lets the objective rise from sweep to sweep', () => {
    fc.assert(
      fc.property(parted, fc.constantFrom(1, 3, 8), (given, factors) => {
        const { after } = change(given);
        let before = Number.POSITIVE_INFINITY;
        for (let sweeps = 1; sweeps <= 6; sweeps += 1) {
          const objective = alsObjective(fitAls(after, { factors, sweeps, regularisation: 0.05 }), after);
          expect(objective).toBeLessThanOrEqual(before * (1 + 1e-12));
          before = objective;
        }
      }),
      { numRuns: 25 },
    );
  });

  it('solves every half-sweep exactly: no factor of an item can be moved to a lower objective', () => {
    const { after } = change({ seed: 5, rows: 90, more: 10 });
    const model = fitAls(after, { factors: 3, sweeps: 2 });
    const best = alsObjective(model, after);
    model.items.forEach((value, place) => {
      for (const step of [1e-3, -1e-3]) {
        const moved: AlsModel = { ...model, items: model.items.slice() };
        moved.items[place] = value + step;
        expect(alsObjective(moved, after)).toBeGreaterThanOrEqual(best);
      }
    });
  });

  it('folds a user in from items alone: what the next half-sweep gives', () => {
    const { after } = change({ seed: 6, rows: 90, more: 10 });
    const model = fitAls(after, { factors: 4, sweeps: 30 });
    for (let user = 0; user < after.users.size; user += 1) {
      const folded = foldInUser(model, itemsOfUser(after, user));
      const next = alsObjective({ ...model, users: replaced(model, user, folded) }, after);
      expect(next).toBeLessThanOrEqual(alsObjective(model, after) * (1 + 1e-12));
    }
    expect([...itemScores(model, { items: [] })].every((score) => score === 0)).toBe(true);
  });

  it('an update moves those concerned only, and lowers the objective', () => {
    fc.assert(
      fc.property(parted, (given) => {
        const changed = change(given);
        const { before, after } = changed;
        const model = fitAls(before, { factors: 4, sweeps: 5 });
        const updated = updateAls(model, changed);
        const started = {
          ...updated,
          users: padded(model.users, after.users),
          items: padded(model.items, after.items),
        };
        expect(alsObjective(updated, after)).toBeLessThanOrEqual(alsObjective(started, after) * (1 + 1e-12));
        for (let item = 0; item < before.items.size; item += 1) {
          if (changed.items.includes(item)) continue;
          const place = item * 4;
          expect(updated.items.subarray(place, place + 4)).toEqual(model.items.subarray(place, place + 4));
        }
      }),
      { numRuns: 40 },
    );
  });

  it('is the same bytes for the same seed, and others for another', () => {
    const { after } = change({ seed: 7, rows: 60, more: 5 });
    expect(fitAls(after, { seed: 1 })).toEqual(fitAls(after, { seed: 1 }));
    expect(fitAls(after, { seed: 1 })).not.toEqual(fitAls(after, { seed: 2 }));
  });

  it('refuses what makes no sense', () => {
    expect(() => fitAls(small, { factors: 0 })).toThrow(/factors must be a whole number/);
    expect(() => fitAls(small, { sweeps: 1.5 })).toThrow(/sweeps/);
    expect(() => fitAls(small, { alpha0: 0 })).toThrow(/alpha0/);
    expect(() => fitAls(small, { regularisation: -1 })).toThrow(/regularisation/);
    const model = fitAls(small, { factors: 2, sweeps: 1 });
    const other = change({ seed: 1, rows: 50, more: 1 }).after;
    expect(() => alsObjective(model, other)).toThrow(/The model has 3 users/);
    expect(() => foldInUser(model, { items: [3] })).toThrow(/Item 0 of the user must be an index below 3/);
    expect(() => itemScores(model, { items: [1, 1] })).toThrow(/must ascend/);
    expect(() => itemScores(model, { items: [1], weights: [0] })).toThrow(/Weight 0/);
    expect(() => itemScores(model, { items: [1], weights: [] })).toThrow(/1 items but 0 weights/);
  });
});

function replaced(model: AlsModel, user: number, factors: Float64Array): Float64Array {
  const users = model.users.slice();
  users.set(factors, user * model.factors);
  return users;
}

function padded(values: Float64Array, table: Interactions['users']): Float64Array {
  const longer = new Float64Array(table.size * 4);
  longer.set(values);
  return longer;
}
