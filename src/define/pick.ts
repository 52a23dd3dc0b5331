import type { ExpressionNode } from './expression.ts';
import { type Feature, type FeatureGroup, identityOf, placeOfField, SEMANTICS_VERSION } from './features.ts';
import { definitionHash } from './hash.ts';

/** Some features of a group, as a part of a vector. */
export interface PickedFeatures<TName extends string = string, TKey extends string = string> {
  readonly type: 'picked';
  readonly group: FeatureGroup<TName, TKey>;
  /** Indexes into the group's features, in their order. */
  readonly indexes: readonly number[];
  /** The hash of a group that has these features alone: a group may grow without a change of it. */
  readonly hash: string;
}

/**
 * Takes some features of a group into a vector. A vector with all features of a group changes when the group gets another
 * one; one that picks stays the same vector, with the same hash, so that a group can grow while it is in use.
 *
 * @example
 * const card = vector('card', { candidate: payments, customer: pick(customer, 'count_1d', 'count_7d') });
 */
export function pick<TName extends string, TKey extends string>(
  group: FeatureGroup<TName, TKey>,
  ...names: readonly [string, ...string[]]
): PickedFeatures<TName, TKey> {
  for (const name of names) {
    if (group.features.some((feature) => feature.name === name)) continue;
    const known = group.features.map((feature) => feature.name).join(', ');
    throw new TypeError(`pick(): group '${group.name}' has no feature '${name}'; it has ${known}`);
  }
  const indexes = [...group.features.keys()].filter((index) =>
    names.includes(group.features[index]?.name ?? ''),
  );
  const { from, hash: _, features: __, parts: ___, ...shape } = group;
  const hash = definitionHash({
    ...shape,
    ...alone(group, indexes),
    semantics: SEMANTICS_VERSION,
    source: from.source.hash,
    matured: from.matured?.hash,
  });
  return { type: 'picked', group, indexes, hash };
}

/** Features and parts as a group would have them that is defined with these features alone. */
function alone(group: FeatureGroup, indexes: readonly number[]): Pick<FeatureGroup, 'features' | 'parts'> {
  const all = [...group.features, ...(group.parts ?? [])];
  const picked = indexes.flatMap((index) => group.features[index] ?? []);
  const places = new Map<string, number>();
  for (const [place, feature] of picked.entries())
    if (feature.expression === undefined) places.set(identityOf(feature), place);
  const parts: Feature[] = [];
  /** Expressions name aggregates by their place; those that are not picked become parts, in the order of their use. */
  const placed = (node: ExpressionNode): ExpressionNode => {
    if (node.op === 'call') return { ...node, arguments: node.arguments.map((argument) => placed(argument)) };
    const old = node.op === 'field' ? placeOfField(node.name) : undefined;
    const used = old === undefined ? undefined : all[old];
    if (node.op !== 'field' || used === undefined) return node;
    const identity = identityOf(used);
    let place = places.get(identity);
    if (place === undefined) {
      place = picked.length + parts.length;
      parts.push({ ...used, name: `#${String(place)}` });
      places.set(identity, place);
    }
    return { ...node, name: `#${String(place)}` };
  };
  const features = picked.map((feature) =>
    feature.expression === undefined ? feature : { ...feature, expression: placed(feature.expression) },
  );
  return { features, ...(parts.length === 0 ? {} : { parts }) };
}
