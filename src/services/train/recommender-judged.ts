import type { ItemModel } from '../../ml/index.ts';
import { SeededRandom, topItems } from '../../ml/index.ts';
import { type InteractionsFile, SIDE } from './recommender-file.ts';
import { RECOMMENDER_TRAINING } from './recommender-limits.ts';

/** A user who is judged by. Items are numbers of the file. */
export interface JudgedUser {
  /** Items before, each with the largest of its weights; what the model does not know too. */
  readonly earlier: ReadonlyMap<number, number>;
  readonly later: readonly number[];
}

/** The users with something to predict: all of them, or as many as are judged by, drawn by the seed. */
export function judgedUsers(
  file: InteractionsFile,
  seed: number,
): { readonly users: readonly JudgedUser[]; readonly of: number } {
  const { rows, userOf, itemOf, weights, sides } = file;
  const has = new Uint8Array(file.users);
  for (let row = 0; row < rows; row += 1) if (sides[row] === SIDE.later) has[userOf[row] as number] = 1;
  const all = Uint32Array.from({ length: file.users }, (_, user) => user).filter((user) => has[user] === 1);
  const { judgedUsersMax } = RECOMMENDER_TRAINING;
  const drawn =
    all.length <= judgedUsersMax
      ? all
      : Uint32Array.from(
          new SeededRandom(seed).sample(all.length, judgedUsersMax),
          (at) => all[at] as number,
        ).sort();
  const places = new Map(Array.from(drawn, (user, place) => [user, place]));
  const users = Array.from(drawn, () => ({ earlier: new Map<number, number>(), later: [] as number[] }));
  for (let row = 0; row < rows; row += 1) {
    const user = users[places.get(userOf[row] as number) ?? -1];
    const item = itemOf[row] as number;
    if (user === undefined) continue;
    if (sides[row] === SIDE.later) user.later.push(item);
    if (sides[row] !== SIDE.earlier) continue;
    user.earlier.set(item, Math.max(user.earlier.get(item) ?? 0, weights[row] as number));
  }
  return { users, of: all.length };
}

/** What a user who has some items is recommended: others, the best first. */
export interface Recommended {
  readonly byModel: Int32Array;
  readonly byPopularity: Int32Array;
}

/** Recommends with a model in the file that serves; items are numbers of the interactions' file. */
export function recommendWith(model: ItemModel, file: InteractionsFile): (user: JudgedUser) => Recommended {
  const ofFile = new Map(file.items.map((id, item) => [id, item]));
  const toFile = Int32Array.from(model.itemIds, (id) => ofFile.get(id) ?? -1);
  const toModel = new Int32Array(file.items.length).fill(-1);
  toFile.forEach((item, index) => {
    if (item >= 0) toModel[item] = index;
  });
  const { shown } = RECOMMENDER_TRAINING;
  const isUnweighted = file.weights.every((weight) => weight === 1);
  return ({ earlier }) => {
    const known = [...earlier]
      .map(([item, weight]) => ({ index: toModel[item] as number, weight }))
      .filter(({ index }) => index >= 0)
      .sort((a, b) => a.index - b.index);
    const items = Uint32Array.from(known, ({ index }) => index);
    const weights = isUnweighted ? undefined : Float32Array.from(known, ({ weight }) => weight);
    const ranked = (scores: ArrayLike<number>): Int32Array =>
      Int32Array.from(topItems(scores, shown, { seen: items }), ({ item }) => toFile[item] as number);
    return { byModel: ranked(model.score(items, weights)), byPopularity: ranked(model.popularity) };
  };
}
