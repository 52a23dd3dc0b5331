import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../random.ts';
import { easeWeights, fitEase } from '../recommend/ease.ts';
import { type Interactions, interactionsOf, itemsOfUser, type UserItems } from '../recommend/interactions.ts';
import { fitItemKnn } from '../recommend/item-knn.ts';
import { itemScores } from '../recommend/model.ts';
import { fitMostPopular } from '../recommend/most-popular.ts';
import { encodeItemModel, type ItemModelToEncode } from './encode-items.ts';
import { MalformedModel, UnsupportedGraph } from './errors.ts';
import { type ItemModel, loadItemModel } from './load-items.ts';
import { loadModel } from './load-model.ts';

function interactionsFrom(seed: number, users: number, items: number, weighted = false): Interactions {
  const random = new SeededRandom(seed);
  const rows = Array.from({ length: users * 6 }, () => ({
    user: random.integer(users),
    // Some are more popular than others.
    item: Math.floor(items * random.uniform() ** 2),
    weight: weighted ? 0.5 + random.uniform() * 5 : 1,
  }));
  return interactionsOf(
    {
      users: rows.map(({ user }) => user),
      items: rows.map(({ item }) => item),
      weights: rows.map(({ weight }) => weight),
    },
    { items: Array.from({ length: items }, (_, item) => item) },
  );
}

function aboutItems(interactions: Interactions) {
  const { size } = interactions.items;
  return {
    ids: Array.from({ length: size }, (_, item) => `item "${item}" \u{1f3b2}`),
    codes: Array.from({ length: size }, (_, item) => 2 ** 52 - 1 - item * 7),
    popularity: fitMostPopular(interactions).popularity,
  };
}

const small = interactionsFrom(1, 40, 25);
const weighted = interactionsFrom(2, 60, 30, true);
const models: readonly (readonly [string, ItemModelToEncode, Interactions])[] = [
  ['EASE', fitEase(small, { lambda: 3 }), small],
  ['EASE of weights', fitEase(weighted, { lambda: 20 }), weighted],
  ['few nearest neighbours', fitItemKnn(small, { k: 2 }), small],
  ['all nearest neighbours', fitItemKnn(weighted, { k: 30, shrinkage: 1 }), weighted],
  ['most popular', fitMostPopular(weighted), weighted],
];

/** Rows of users, and one of nobody, as the model's input. */
function inputOf(interactions: Interactions): { readonly users: UserItems[]; readonly rows: Float32Array } {
  const { users, items } = interactions;
  const given = [
    ...Array.from({ length: users.size }, (_, user) => itemsOfUser(interactions, user)),
    { items: [] },
  ];
  const rows = new Float32Array(given.length * items.size);
  given.forEach(({ items: own, weights }: UserItems, row) => {
    for (let place = 0; place < own.length; place += 1)
      rows[row * items.size + (own[place] as number)] = weights?.[place] ?? 1;
  });
  return { users: given, rows };
}

async function runtimeScores(bytes: Uint8Array, rows: Float32Array, width: number): Promise<Float32Array> {
  const { InferenceSession, Tensor } = await import('onnxruntime-node');
  const session = await InferenceSession.create(bytes, { intraOpNumThreads: 1, interOpNumThreads: 1 });
  try {
    const { scores } = await session.run({
      items: new Tensor('float32', rows, [rows.length / width, width]),
    });
    return scores?.data as Float32Array;
  } finally {
    await session.release();
  }
}

const narrow = (weights: ArrayLike<number> | undefined): Float32Array | undefined =>
  weights && Float32Array.from(weights);

describe.each(models)('%s as a file', (_, model, interactions) => {
  const about = aboutItems(interactions);
  const bytes = encodeItemModel(model, { ...about, parameters: { lambda: 3 } });
  const loaded = loadItemModel(bytes);
  const { users, rows } = inputOf(interactions);
  const width = loaded.itemCount;

  it('says what the model is', () => {
    expect(loaded).toMatchObject({ kind: model.kind, parameters: { lambda: 3 }, itemCount: width });
    expect(loaded.itemIds).toEqual(about.ids);
    expect(Array.from(loaded.codes)).toEqual(about.codes);
    expect(loaded.popularity).toEqual(Float32Array.from(about.popularity));
    expect(loaded.indexOf(about.ids[3] ?? '')).toBe(3);
    expect(loaded.indexOf('other')).toBeUndefined();
    expect(encodeItemModel(model, { ...about, parameters: { lambda: 3 } })).toEqual(bytes);
  });

  it('gives the scores of the model, and of ONNX Runtime', async () => {
    const reference = await runtimeScores(bytes, rows, width);
    expect(reference).toHaveLength(rows.length);
    users.forEach((own, row) => {
      const scores = loaded.score(own.items, narrow(own.weights));
      const expected = own.items.length === 0 ? about.popularity : itemScores(model, own);
      scores.forEach((score, item) => {
        const scale = Math.max(1, Math.abs(score));
        expect(Math.abs(score - (expected[item] ?? Number.NaN)) / scale).toBeLessThan(1e-5);
        expect(Math.abs(score - (reference[row * width + item] ?? Number.NaN)) / scale).toBeLessThan(1e-5);
      });
    });
  });

  it('adds up in the order of the items, to the bit', () => {
    for (const own of users) {
      const weights = narrow(own.weights);
      if (own.items.length === 0 || model.kind === 'most-popular') continue;
      const expected = Array.from({ length: width }, (__, to) => {
        let sum = 0;
        for (let place = 0; place < own.items.length; place += 1)
          sum += (weights?.[place] ?? 1) * loaded.weight(own.items[place] as number, to);
        return sum;
      });
      expect(Array.from(loaded.score(own.items, weights))).toEqual(expected);
      if (weights?.every((weight) => weight === 1) === true) {
        expect(loaded.score(own.items)).toEqual(loaded.score(own.items, weights));
      }
    }
  });

  it('is refused or can be used, whatever bytes are changed', () => {
    const change = fc.tuple(fc.nat({ max: bytes.length - 1 }), fc.nat({ max: 255 }));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const damaged = bytes.slice();
        for (const [at, byte] of changes) damaged[at] = byte;
        isAnswered(damaged);
      }),
      { numRuns: 400 },
    );
    for (let length = 0; length < bytes.length; length += 11) {
      expect(isAnswered(bytes.subarray(0, length))).toBe(false);
    }
  });
});

/** Reads bytes as a model of items and asks it; true when it answered and false when it was refused. */
function isAnswered(bytes: Uint8Array): boolean {
  try {
    const model = loadItemModel(bytes);
    const { itemCount } = model;
    expect(model.score([0, itemCount - 1].slice(0, itemCount))).toHaveLength(itemCount);
    model.weight(itemCount - 1, 0);
    return true;
  } catch (error) {
    if (error instanceof MalformedModel || error instanceof UnsupportedGraph) return false;
    throw error;
  }
}

describe('the weights from item to item', () => {
  it('are those of the model in float32', () => {
    const model = fitEase(weighted, { lambda: 20 });
    const loaded = loadItemModel(encodeItemModel(model, aboutItems(weighted)));
    const expected = Float32Array.from(easeWeights(model));
    const { itemCount } = loaded;
    const found = expected.map((_, place) => loaded.weight(Math.floor(place / itemCount), place % itemCount));
    expect(found).toEqual(expected);
  });

  it('are written sparsely where that is smaller, with the same scores', () => {
    const wide = interactionsFrom(3, 300, 200);
    const few = fitItemKnn(wide, { k: 3 });
    const sparse = encodeItemModel(few, aboutItems(wide));
    expect(sparse.length).toBeLessThan(200 * 3 * 12 + 20_000);
    const all = encodeItemModel(fitItemKnn(small, { k: 25 }), aboutItems(small));
    expect(all.length).toBeLessThan(25 * 25 * 4 + 3_000);
    const loaded = loadItemModel(sparse);
    const own = itemsOfUser(wide, 0);
    const expected = itemScores(few, own);
    loaded
      .score(own.items)
      .forEach((score, item) => expect(score).toBeCloseTo(expected[item] ?? Number.NaN, 6));
  });
});

describe('the items of a user', () => {
  const loaded: ItemModel = loadItemModel(encodeItemModel(fitEase(small), aboutItems(small)));
  const codeAt = (item: number): number => loaded.codes[item] ?? Number.NaN;

  it('are found by their codes, and ascend', () => {
    expect(loaded.itemsOf([codeAt(7), 5, codeAt(2)])).toEqual({
      items: Uint32Array.of(2, 7),
      weights: undefined,
      unknown: 1,
    });
    expect(loaded.itemsOf([codeAt(7), 5, codeAt(2)], [0.5, 3, 2])).toEqual({
      items: Uint32Array.of(2, 7),
      weights: Float32Array.of(2, 0.5),
      unknown: 1,
    });
    expect(loaded.itemsOf([])).toEqual({ items: new Uint32Array(0), weights: undefined, unknown: 0 });
  });

  it('are refused when they are unsound', () => {
    expect(() => loaded.itemsOf([codeAt(1), codeAt(1)])).toThrow(/comes twice/);
    expect(() => loaded.itemsOf([codeAt(1)], [])).toThrow('There are 1 codes but 0 weights');
    expect(() => loaded.score([3, 2])).toThrow(/must ascend/);
    expect(() => loaded.score([25])).toThrow(/an index below 25, not 25/);
    expect(() => loaded.score([1], [Number.NaN])).toThrow(/Weight 0/);
  });
});

describe('what cannot be written', () => {
  const about = aboutItems(small);
  const model = fitMostPopular(small);
  it.each([
    [{ ids: about.ids.slice(1) }, 'The model has 25 items but 24 ids'],
    [{ ids: about.ids.with(4, about.ids[1] ?? '') }, /^Items 1 and 4 have the same id/],
    [{ ids: about.ids.with(4, '') }, /^The id of item 4 must be a text of 1 to 512 characters/],
    [{ codes: about.codes.with(4, about.codes[1] ?? 0) }, /^Items 1 and 4 have the same code/],
    [{ codes: about.codes.with(4, 0.5) }, 'The code of item 4 must be a whole number of 0 or more, not 0.5'],
    [{ popularity: about.popularity.with(4, 1e300) }, /^The popularity at 4 must be finite in float32/],
  ])('is refused', (change, message) => {
    expect(() => encodeItemModel(model, { ...about, ...change })).toThrow(
      typeof message === 'string' ? new RangeError(message) : message,
    );
  });
});

describe('a model of rows', () => {
  it('is no model of items, and the other way round', () => {
    expect(() => loadModel(encodeItemModel(fitEase(small), aboutItems(small)))).toThrow(UnsupportedGraph);
    expect(() => loadItemModel(Uint8Array.of(8, 8))).toThrow(MalformedModel);
  });
});
