import {
  type App,
  type FeatureGroup,
  type Source,
  vector,
  type Vector,
  type VectorValue,
} from '../../../define/index.ts';
import { compilePlan, type Plan } from '../plan.ts';
import { type Aims, aimsOf } from './aims.ts';
import { expressionsOf, fieldsOf } from './expressions.ts';

/** What is checked: definitions, compiled. */
export interface Subject {
  readonly name: string;
  readonly plan: Plan;
  /**
   * Fields by whose values groups are kept. In SQL those of different streams differ, so that streams can share a statement.
   */
  readonly keys: ReadonlySet<string>;
  /**
   * Whether the definitions look at nothing that tells streams apart. Otherwise each stream has a statement of its own, and its
   * keys are as literals in the definitions have them.
   */
  readonly isShared: boolean;
  readonly aims: Aims;
}

/**
 * A group of an app by itself, read for events of its own source and of every other source that the app's vectors read it for,
 * with their expressions over the candidate.
 */
export function groupSubject(app: App, group: FeatureGroup): Subject {
  const vectors = [...app.vectors.values()].filter((item) =>
    item.groups.some((other) => other.name === group.name),
  );
  const candidates = new Map<string, Source>([[group.from.source.name, group.from.source]]);
  for (const item of vectors) candidates.set(item.candidate.name, item.candidate);
  const { matured } = group.from;
  const sources = [...candidates.values(), ...(matured === undefined ? [] : [matured.of, matured.from])];
  const compiled = compilePlan({
    sources: byName(sources),
    labels: byName(matured === undefined ? [] : [matured]),
    groups: byName([group]),
    vectors: byName([...candidates.values()].map((candidate) => vectorFor(group, candidate, vectors))),
  });
  return planSubject(group.name, compiled);
}

/** Everything that a plan has, together. */
export function planSubject(name: string, plan: Plan): Subject {
  const keys = new Set(plan.groups.map(({ group }) => group.key));
  const ids = [...plan.sources.values()].map(({ source }) => source.id);
  const named = plan.labels.map(({ label }) => label.on);
  const telling = new Set([...keys, ...ids, ...named]);
  const isShared = expressionsOf(plan)
    .flatMap((node) => fieldsOf(node))
    .every((field) => !telling.has(field.name));
  return { name, plan, keys, isShared, aims: aimsOf(plan) };
}

function vectorFor(group: FeatureGroup, candidate: Source, vectors: readonly Vector[]): Vector {
  const base = vector(`for_${candidate.name}`, { candidate, features: group });
  const expressions = new Map<string, VectorValue>();
  for (const item of vectors.filter((other) => other.candidate.name === candidate.name)) {
    for (const value of item.values) {
      if (value.from === 'candidate') expressions.set(`${item.name}.${value.name}`, value);
    }
  }
  const values = [...expressions].map(([name, value]) => ({ ...value, name }));
  return { ...base, values: [...base.values, ...values] };
}

function byName<TItem extends { readonly name: string }>(items: readonly TItem[]): Map<string, TItem> {
  return new Map(items.map((item) => [item.name, item]));
}
