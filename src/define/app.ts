import type { Decision } from './decision.ts';
import type { FeatureGroup } from './features.ts';
import { definitionHash } from './hash.ts';
import type { LabelDefinition } from './label.ts';
import type { Model } from './model.ts';
import { assertName } from './name.ts';
import type { Recommendation } from './recommendation.ts';
import type { Recommender } from './recommender.ts';
import { retrainText } from './retrain.ts';
import type { Source } from './source.ts';
import type { Vector } from './vector.ts';

export interface AppOptions {
  /** Default none. */
  readonly decisions?: Readonly<Record<string, Decision>>;
  /** Their names and those of decisions are one namespace. Default none. */
  readonly recommendations?: Readonly<Record<string, Recommendation>>;
  /** Models that no decision uses yet, so that they can be trained and compared. */
  readonly models?: readonly Model[];
  /** Recommenders, whether or not one of them answers already. Models and recommenders have no name in common. */
  readonly recommenders?: readonly Recommender[];
  /** Sources that nothing else refers to. */
  readonly sources?: readonly Source[];
}

/** Everything a team defined, by name. */
export interface App {
  readonly type: 'app';
  readonly name: string;
  readonly sources: ReadonlyMap<string, Source>;
  readonly labels: ReadonlyMap<string, LabelDefinition>;
  readonly groups: ReadonlyMap<string, FeatureGroup>;
  readonly vectors: ReadonlyMap<string, Vector>;
  readonly models: ReadonlyMap<string, Model>;
  readonly recommenders: ReadonlyMap<string, Recommender>;
  readonly decisions: ReadonlyMap<string, Decision>;
  readonly recommendations: ReadonlyMap<string, Recommendation>;
  readonly hash: string;
}

/** Collects the app from its decisions, models and recommenders. Two different things of one kind with the same name are refused. */
export function defineApp(name: string, options: AppOptions): App {
  assertName('app', name);
  const decisions = listed(name, options.decisions ?? {});
  const recommendations = listed(name, options.recommendations ?? {});
  assertOneNamespace(name, [...decisions.keys(), ...recommendations.keys()]);
  const rankers = [...recommendations.values()].flatMap((item) => item.rank?.model ?? []);
  const given = [...[...decisions.values()].map((item) => item.model), ...rankers, ...(options.models ?? [])];
  const models = collect('model', given);
  const proposing = [
    ...[...recommendations.values()].flatMap(({ candidates, earlier = [] }) => [
      candidates,
      ...earlier.map((before) => before.candidates),
    ]),
    ...(options.recommenders ?? []),
  ];
  const recommenders = collect('recommender', proposing);
  assertOneSchedule(given, models);
  assertOneSchedule(proposing, recommenders);
  assertNamesApart(models, recommenders);
  const vectors = collect('vector', [
    ...[...models.values()].map((item) => item.vector),
    ...[...recommenders.values()].map((item) => item.training),
    ...[...recommendations.values()].flatMap(({ history, earlier = [] }) => [
      history,
      ...earlier.map((before) => before.history),
    ]),
  ]);
  const groups = collect(
    'feature group',
    [...vectors.values()].flatMap((item) => item.groups),
  );
  const labels = collect('label', [
    ...[...models.values()].map((item) => item.label),
    ...[...groups.values()].flatMap((item) => item.from.matured ?? []),
  ]);
  const sources = collect('source', [
    ...(options.sources ?? []),
    ...[...vectors.values()].map((item) => item.candidate),
    ...[...groups.values()].map((item) => item.from.source),
    ...[...labels.values()].flatMap((item) => [item.of, item.from]),
  ]);
  const hash = definitionHash({
    name,
    decisions: [...decisions.values()].map((item) => item.hash),
    models: [...models.values()].map((item) => item.hash),
    sources: [...sources.values()].map((item) => item.hash),
    // Absent without any: apps of before there were recommenders and recommendations keep their hash.
    ...(recommenders.size === 0 ? {} : { recommenders: [...recommenders.values()].map((item) => item.hash) }),
    ...(recommendations.size === 0
      ? {}
      : { recommendations: [...recommendations.values()].map((item) => item.hash) }),
  });
  const trained = { vectors, models, recommenders };
  return { type: 'app', name, sources, labels, groups, ...trained, decisions, recommendations, hash };
}

/** What is listed under names, which are its own. */
function listed<TItem extends { readonly type: string; readonly name: string }>(
  app: string,
  items: Readonly<Record<string, TItem>>,
): Map<string, TItem> {
  for (const [label, { type, name }] of Object.entries(items)) {
    if (label !== name)
      throw new TypeError(`App '${app}': ${type} '${name}' is listed under the name '${label}'`);
  }
  return new Map(Object.entries(items));
}

/** Releases and ledger know decisions and recommendations by their names alone. */
function assertOneNamespace(app: string, names: readonly string[]): void {
  const doubled = names.find((name, index) => names.indexOf(name) !== index);
  if (doubled === undefined) return;
  throw new TypeError(`App '${app}': '${doubled}' is the name of a decision and of a recommendation`);
}

/** What is trained: a model, or a recommender. */
export type Trainable = Model | Recommender;

/** Whatever of an app is trained: its models and then its recommenders. */
export function trainablesOf(app: App): Trainable[] {
  return [...app.models.values(), ...app.recommenders.values()];
}

/** The model or recommender of that name. */
export function trainableNamed(app: App, name: string): Trainable | undefined {
  return app.models.get(name) ?? app.recommenders.get(name);
}

/** Runs and versions are found by the name alone. */
function assertNamesApart(
  models: ReadonlyMap<string, Model>,
  recommenders: ReadonlyMap<string, Recommender>,
): void {
  const shared = [...recommenders.keys()].find((name) => models.has(name));
  if (shared !== undefined) throw new TypeError(`'${shared}' is both a model and a recommender`);
}

/** Rules of retraining are not in the hash, so that {@link collect} does not see that they differ. */
function assertOneSchedule(given: readonly Trainable[], collected: ReadonlyMap<string, Trainable>): void {
  const textOf = (item: Trainable | undefined): string =>
    (item?.retrain ?? []).map(retrainText).sort().join(', ');
  for (const item of given) {
    if (textOf(item) === textOf(collected.get(item.name))) continue;
    throw new TypeError(`Two definitions of ${item.type} '${item.name}' with different rules of 'retrain'`);
  }
}

function collect<TItem extends { readonly name: string; readonly hash: string }>(
  what: string,
  items: readonly TItem[],
): Map<string, TItem> {
  const found = new Map<string, TItem>();
  for (const item of items) {
    const known = found.get(item.name);
    if (known !== undefined && known.hash !== item.hash) {
      throw new TypeError(`Two different definitions of ${what} '${item.name}'`);
    }
    if (known === undefined) found.set(item.name, item);
  }
  return found;
}
