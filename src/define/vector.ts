import { categoriesOf } from './category.ts';
import { Expression, type ExpressionNode } from './expression.ts';
import { candidateFields, type Feature, type FeatureGroup } from './features.ts';
import { definitionHash } from './hash.ts';
import { assertDistinct, assertName } from './name.ts';
import { beyondEvent } from './of-event.ts';
import type { PickedFeatures } from './pick.ts';
import { type FieldExpressions, fieldExpressions, type Source } from './source.ts';

type NumberLike = Expression<'number'> | Expression<'money'> | Expression<'boolean'>;

/** A part of a vector: a group of features, some of a group, or an expression over the event being decided. */
export type VectorPart<TSource extends Source> =
  | FeatureGroup<string, keyof TSource['fields'] & string>
  | PickedFeatures<string, keyof TSource['fields'] & string>
  | ((candidate: FieldExpressions<TSource['fields']>) => NumberLike);

/** One value of a vector, in the model's input order. */
export type VectorValue = VectorOrigin & {
  readonly name: string;
  /** What the places stand for that a categorical value has, from 0. Absent otherwise. */
  readonly categories?: readonly string[];
};

type VectorOrigin =
  | { readonly from: 'group'; readonly group: string; readonly index: number }
  | { readonly from: 'candidate'; readonly expression: ExpressionNode };

/** Columns that a dataset has beside the vector's values, whose names a value cannot take. */
export const DATASET_COLUMNS: readonly string[] = ['id', 'time', 'partition', 'position', 'label'];

/** The ordered, typed features a model consumes. */
export interface Vector<TName extends string = string, TSource extends Source = Source> {
  readonly type: 'vector';
  readonly name: TName;
  readonly candidate: TSource;
  readonly groups: readonly FeatureGroup[];
  readonly values: readonly VectorValue[];
  /** The vector's version. */
  readonly hash: string;
}

/**
 * Defines a vector. Groups contribute their features as `<part>_<feature>`, expressions a value of their own name, in
 * the order in which they are written.
 *
 * @example
 * const card = vector('card', { candidate: payments, customer, weekend: (c) => isWeekend(c.at) });
 */
export function vector<const TName extends string, TSource extends Source>(
  name: TName,
  parts: { readonly candidate: TSource } & { readonly [part: string]: TSource | VectorPart<TSource> },
): Vector<TName, TSource> {
  assertName('vector', name);
  const candidate = parts.candidate;
  const fields = fieldExpressions<TSource['fields']>(candidate.fields);
  const groups: FeatureGroup[] = [];
  const hashes: string[] = [];
  const values: VectorValue[] = [];
  /** As in a vector of groups that have the picked features alone. */
  const hashed: VectorValue[] = [];
  for (const [label, part] of Object.entries(parts)) {
    if (label === 'candidate') continue;
    assertName('vector part', label);
    if (typeof part === 'function') {
      const expression = numeric(part(fields)).node;
      const categories = categoriesOf(expression);
      values.push({ name: label, from: 'candidate', expression, ...(categories && { categories }) });
      hashed.push(...values.slice(-1));
    } else if (part.type === 'features' || part.type === 'picked') {
      const group = part.type === 'picked' ? part.group : part;
      assertKey(name, candidate, group);
      const indexes = part.type === 'picked' ? part.indexes : [...group.features.keys()];
      assertOwnCandidate(name, candidate, group, indexes);
      groups.push(group);
      hashes.push(part.hash);
      for (const [place, index] of indexes.entries()) {
        const feature = group.features[index];
        const value = `${label}_${feature?.name ?? ''}`;
        const categories = feature && categoriesOfFeature(feature);
        const common = {
          name: value,
          from: 'group',
          group: group.name,
          ...(categories && { categories }),
        } as const;
        values.push({ ...common, index });
        hashed.push({ ...common, index: place });
      }
    } else {
      throw new TypeError(`Vector '${name}': part '${label}' is neither a feature group nor an expression`);
    }
  }
  if (values.length === 0) throw new TypeError(`Vector '${name}' has no values`);
  assertDistinct(`Vector '${name}'`, [...DATASET_COLUMNS, ...values.map((value) => value.name)]);
  const definition = { name, candidate: candidate.hash, groups: hashes, values: hashed };
  return { type: 'vector', name, candidate, groups, values, hash: definitionHash(definition) };
}

/** Expressions over aggregates read fields of the event being decided: it must be one of the group's own source. */
function assertOwnCandidate(
  vectorName: string,
  candidate: Source,
  group: FeatureGroup,
  indexes: readonly number[],
): void {
  const used = indexes.flatMap((index) => {
    const feature = group.features[index];
    return feature === undefined ? [] : candidateFields(feature);
  });
  if (used.length === 0) return;
  const unknown = used.find((field) => !Object.hasOwn(candidate.fields, field));
  if (group.from.source.hash !== candidate.hash || unknown !== undefined) {
    throw new TypeError(
      `Vector '${vectorName}': group '${group.name}' compares with field '${unknown ?? used[0] ?? ''}' of an event of ` +
        `'${group.from.source.name}', which its candidate, of '${candidate.name}', does not have`,
    );
  }
}

/** Aggregates whose values are some of those that they were given. */
const KEEPING: ReadonlySet<Feature['kind']> = new Set(['first', 'last', 'firstK', 'lastK']);

/** A feature is categorical if it is an expression that is, or the value of such an input as it was. */
function categoriesOfFeature(feature: Feature): readonly string[] | undefined {
  if (feature.kind === 'expression') return categoriesOf(feature.expression);
  const isPlace = KEEPING.has(feature.kind) && feature.fallback === undefined;
  return isPlace ? categoriesOf(feature.input) : undefined;
}

function numeric(expression: NumberLike): Expression<'number'> {
  if (beyondEvent(expression.node) !== undefined)
    throw new TypeError('Aggregates and asOf() stand in expressions of a feature group, not of a vector');
  return new Expression<'number' | 'money' | 'boolean'>(expression.node).toNumber();
}

function assertKey(vectorName: string, candidate: Source, group: FeatureGroup): void {
  const field = candidate.fields[group.key];
  if (field === undefined || (field.kind !== 'key' && field.kind !== 'id') || field.optional) {
    throw new TypeError(
      `Vector '${vectorName}': group '${group.name}' is kept by '${group.key}', ` +
        `which is not an id or key field of source '${candidate.name}'`,
    );
  }
}
