import {
  choleskyFactor,
  encodeItemModel,
  extendInteractions,
  fitAls,
  fitEase,
  fitItemKnn,
  type Interactions,
  interactionsOf,
  itemScores,
  itemsOfUser,
  loadItemModel,
  SeededRandom,
  topItems,
  updateEase,
} from '../src/ml/index.ts';
import type { Measurement } from './run.ts';

const ITEMS = 3500;
const USERS = 20_000;
const ITEMS_OF_A_USER = 30;
const NEW_INTERACTIONS = 100;
const REQUESTS = 200;
/** Latest items of a user that are scored from, and times that they are. */
const RECENT = 50;
const SCORED = 2_000;

/** Users with items of falling popularity. */
function columns(users: number, seed: number): { users: number[]; items: number[] } {
  const random = new SeededRandom(seed);
  const rows = users * ITEMS_OF_A_USER;
  return {
    users: Array.from({ length: rows }, (_, row) => Math.floor(row / ITEMS_OF_A_USER)),
    items: Array.from({ length: rows }, () => Math.floor(ITEMS * random.uniform() ** 2)),
  };
}

/** What a step gives, and the CPU seconds that it takes: other processes may have the machine as well. */
function timed<TResult>(step: () => TResult): [TResult, number] {
  const start = process.cpuUsage();
  const result = step();
  const { user, system } = process.cpuUsage(start);
  return [result, (user + system) / 1e6];
}

function request(interactions: Interactions, model: ReturnType<typeof fitEase>): void {
  for (let user = 0; user < REQUESTS; user += 1) {
    const own = itemsOfUser(interactions, user);
    topItems(itemScores(model, own), 10, { seen: own.items });
  }
}

/** The model as the file that is served. */
function fileOf(model: ReturnType<typeof fitEase>): Uint8Array {
  const items = Array.from({ length: ITEMS }, (_, item) => item);
  return encodeItemModel(model, { ids: items.map(String), codes: items, popularity: items });
}

/** Scores of all items for users with other items each. */
function score(model: ReturnType<typeof loadItemModel>, times: number): void {
  const apart = Math.floor(ITEMS / RECENT);
  for (let user = 0; user < times; user += 1)
    model.score(Uint32Array.from({ length: RECENT }, (_, place) => place * apart + (user % apart)));
}

/** Fitting recommendation models on a catalogue of 3,500 items, on one core. */
export function measure(): Promise<Measurement> {
  const catalogue = Array.from({ length: ITEMS }, (_, item) => item);
  const [interactions, build] = timed(() => interactionsOf(columns(USERS, 1), { items: catalogue }));
  const [ease, easeFit] = timed(() => fitEase(interactions));
  const random = new SeededRandom(2);
  const drawn = (bound: number): number[] =>
    Array.from({ length: NEW_INTERACTIONS }, () => random.integer(bound));
  const change = extendInteractions(interactions, { users: drawn(USERS), items: drawn(ITEMS) });
  const [updated, easeUpdate] = timed(() => updateEase(ease, change));
  const [, requests] = timed(() => request(interactions, updated));
  const [file, encode] = timed(() => fileOf(updated));
  const [served, load] = timed(() => loadItemModel(file));
  score(served, SCORED);
  const [, scores] = timed(() => score(served, SCORED));
  const ridge = ease.gram.slice();
  for (let item = 0; item < ITEMS; item += 1)
    ridge[item * ITEMS + item] = (ridge[item * ITEMS + item] ?? 0) + 200;
  const [, cholesky] = timed(() => choleskyFactor(ridge, ITEMS));
  const [, knn] = timed(() => fitItemKnn(interactions));
  const [, als] = timed(() => fitAls(interactions, { sweeps: 1 }));
  return Promise.resolve({
    metrics: {
      buildCpuSeconds: build,
      easeFitCpuSeconds: easeFit,
      easeUpdateRank: updated.rankSinceSolved,
      easeUpdateCpuSeconds: easeUpdate,
      choleskyCpuSeconds: cholesky,
      itemKnnFitCpuSeconds: knn,
      alsSweepCpuSeconds: als,
      easeRequestCpuMs: (requests * 1000) / REQUESTS,
      fileBytes: file.length,
      fileWriteCpuSeconds: encode,
      fileLoadCpuSeconds: load,
      fileScoreCpuUs: (scores * 1e6) / SCORED,
    },
    goals: [
      { metric: 'easeFitCpuSeconds', goal: 10, bound: 'max' },
      { metric: 'fileScoreCpuUs', goal: 200, bound: 'max' },
    ],
  });
}
