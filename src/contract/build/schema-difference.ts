import type { JsonSchema } from './description.ts';

/** Why a value that its writer may write is not one that its reader takes. */
export interface Difference {
  /** Where, e.g. `body.candidates[]`. */
  readonly path: string;
  /** What is wrong, in words. */
  readonly text: string;
}

/** `strict`: what the reader does not know is refused, where its schema says so. `lenient`: it looks only at what it knows. */
export type Reading = 'strict' | 'lenient';

type Keywords = Readonly<Record<string, unknown>>;

/** Deepest nesting that is compared; schemas that refer to themselves are taken for equal below it. */
const DEPTH_MAX = 24;

/**
 * Compares two schemas: every value of `writer` must be one of `reader`. It is careful: what cannot be shown to fit
 * counts as a difference. Empty when all fit.
 */
export function schemaDifferences(
  reader: JsonSchema,
  writer: JsonSchema,
  options: { readonly path: string; readonly reading: Reading },
): Difference[] {
  const comparison = new Comparison(reader, writer, options.reading);
  return comparison.compare(reader, writer, options.path, 0);
}

class Comparison {
  readonly #readerRoot: JsonSchema;
  readonly #writerRoot: JsonSchema;
  readonly #reading: Reading;

  constructor(readerRoot: JsonSchema, writerRoot: JsonSchema, reading: Reading) {
    this.#readerRoot = readerRoot;
    this.#writerRoot = writerRoot;
    this.#reading = reading;
  }

  compare(reader: JsonSchema, writer: JsonSchema, path: string, depth: number): Difference[] {
    if (depth > DEPTH_MAX) return [];
    if (typeof reader === 'object' && Array.isArray(reader['allOf'])) {
      const { allOf, ...rest } = reader;
      const parts = [rest, ...(allOf as JsonSchema[])];
      return parts.flatMap((part) => this.compare(part, writer, path, depth + 1));
    }
    const readers = alternatives(reader, this.#readerRoot);
    const writers = alternatives(writer, this.#writerRoot);
    if (readers.some(isAnything)) return [];
    return writers.flatMap((one) => this.#compareOne(readers, one, path, depth));
  }

  /** One alternative of the writer must be taken as a whole by one of the reader's. */
  #compareOne(readers: readonly Keywords[], writer: Keywords, path: string, depth: number): Difference[] {
    if (isAnything(writer)) return [{ path, text: `takes ${namesOf(readers)}, anything may come` }];
    let nearest: Difference[] | undefined;
    for (const reader of readers) {
      if (!overlap(reader, writer)) continue;
      const found = this.#compareSimple(reader, writer, path, depth);
      if (found.length === 0) return [];
      if (nearest === undefined || found.length < nearest.length) nearest = found;
    }
    return nearest ?? [{ path, text: `takes ${namesOf(readers)}, ${nameOf(writer)} may come` }];
  }

  #compareSimple(reader: Keywords, writer: Keywords, path: string, depth: number): Difference[] {
    const values = valuesOf(writer);
    if (values !== undefined) {
      const refused = values.filter((value) => !fits(reader, value));
      return refused.map((value) => ({ path, text: `does not take ${JSON.stringify(value)}` }));
    }
    if (valuesOf(reader) !== undefined) {
      return [{ path, text: `takes ${nameOf(reader)}, ${nameOf(writer)} may come` }];
    }
    switch (writer['type']) {
      case 'object':
        return this.#compareObjects(reader, writer, path, depth);
      case 'array':
        return this.#compareArrays(reader, writer, path, depth);
      default:
        return boundsDifferences(reader, writer, path);
    }
  }

  #compareObjects(reader: Keywords, writer: Keywords, path: string, depth: number): Difference[] {
    const [read, written] = [propertiesOf(reader), propertiesOf(writer)];
    const [needed, given] = [namesIn(reader, 'required'), namesIn(writer, 'required')];
    const found: Difference[] = [];
    for (const name of needed) {
      if (!given.has(name)) found.push({ path: `${path}.${name}`, text: 'is needed, but need not come' });
    }
    const rest = this.#restOf(reader);
    for (const [name, schema] of Object.entries(written)) {
      const known = Object.hasOwn(read, name) ? read[name] : rest;
      if (known === undefined) continue;
      if (known === false) found.push({ path: `${path}.${name}`, text: 'is not known, but may come' });
      else found.push(...this.compare(known, schema, `${path}.${name}`, depth + 1));
    }
    const more = writer['additionalProperties'];
    if (more === undefined || more === false) return found;
    // A map: any name may come, also one that the reader knows.
    for (const [name, schema] of Object.entries(read)) {
      if (Object.hasOwn(written, name)) continue;
      found.push(...this.compare(schema, more as JsonSchema, `${path}.${name}`, depth + 1));
    }
    if (rest === false) found.push({ path, text: 'takes only names that it knows, any may come' });
    else if (rest !== undefined) {
      found.push(...this.compare(rest, more as JsonSchema, `${path}.*`, depth + 1));
      found.push(...this.#compareNames(reader, writer, path, depth));
    }
    return found;
  }

  #compareNames(reader: Keywords, writer: Keywords, path: string, depth: number): Difference[] {
    const names = (reader['propertyNames'] as JsonSchema | undefined) ?? true;
    const given = (writer['propertyNames'] as JsonSchema | undefined) ?? { type: 'string' };
    return this.compare(names, given, `${path} names`, depth + 1);
  }

  /** What a reader does with members that it does not name: a schema, `false`, or nothing at all. */
  #restOf(reader: Keywords): JsonSchema | undefined {
    const rest = reader['additionalProperties'] as JsonSchema | undefined;
    return rest === false && this.#reading === 'lenient' ? undefined : rest;
  }

  #compareArrays(reader: Keywords, writer: Keywords, path: string, depth: number): Difference[] {
    const found = boundsDifferences(reader, writer, path);
    const read = (reader['prefixItems'] as readonly JsonSchema[] | undefined) ?? [];
    const written = (writer['prefixItems'] as readonly JsonSchema[] | undefined) ?? [];
    const itemsOf = (of: Keywords): JsonSchema => (of['items'] as JsonSchema | undefined) ?? true;
    for (let index = 0; index < Math.max(read.length, written.length); index += 1) {
      const given = written[index] ?? itemsOf(writer);
      if (given === false) continue;
      const known = read[index] ?? itemsOf(reader);
      const place = `${path}[${String(index)}]`;
      if (known === false) found.push({ path: place, text: 'is not known, but may come' });
      else found.push(...this.compare(known, given, place, depth + 1));
    }
    if (itemsOf(writer) === false) return found;
    if (itemsOf(reader) === false) found.push({ path, text: 'takes no more items, more may come' });
    else found.push(...this.compare(itemsOf(reader), itemsOf(writer), `${path}[]`, depth + 1));
    return found;
  }
}

/** The alternatives of a schema, each of one type. None: no value fits. */
function alternatives(schema: JsonSchema, root: JsonSchema, depth = 0): Keywords[] {
  if (schema === true) return [{}];
  if (schema === false || depth > DEPTH_MAX) return [];
  const { $ref, anyOf, oneOf, allOf, not, ...rest } = schema;
  if (typeof $ref === 'string') return alternatives(resolve($ref, root), root, depth + 1);
  if (isAnything((not ?? { not: 1 }) as Keywords)) return [];
  const choices = (anyOf ?? oneOf) as readonly JsonSchema[] | undefined;
  if (choices !== undefined) return choices.flatMap((choice) => alternatives(choice, root, depth + 1));
  if (Array.isArray(allOf)) return [mergeAll([rest, ...(allOf as JsonSchema[])], root)];
  const { type } = rest;
  if (Array.isArray(type)) return type.map((one) => ({ ...rest, type: one as unknown }));
  return [type === undefined && valuesOf(rest) !== undefined ? { ...rest, type: 'value' } : rest];
}

/** An intersection, of which the members of objects are the union. */
function mergeAll(parts: readonly JsonSchema[], root: JsonSchema): Keywords {
  const flat = parts.flatMap((part) => alternatives(part, root));
  return flat.reduce<Keywords>((merged, part) => {
    const properties = { ...propertiesOf(merged), ...propertiesOf(part) };
    const required = [...namesIn(merged, 'required'), ...namesIn(part, 'required')];
    const members = Object.keys(properties).length === 0 ? {} : { properties, required };
    return { ...merged, ...part, ...members };
  }, {});
}

function resolve(reference: string, root: JsonSchema): JsonSchema {
  let found: unknown = root;
  for (const name of reference.split('/').slice(1)) {
    found = (found as Keywords | undefined)?.[name.replaceAll('~1', '/').replaceAll('~0', '~')];
  }
  return (found as JsonSchema | undefined) ?? true;
}

/** Words that say nothing about which values fit. */
const REMARKS = new Set([
  'description',
  'title',
  'default',
  'examples',
  'deprecated',
  'id',
  '$defs',
  '$schema',
]);

function isAnything(schema: Keywords): boolean {
  return Object.keys(schema).every((keyword) => REMARKS.has(keyword));
}

function valuesOf(schema: Keywords): readonly unknown[] | undefined {
  if (Object.hasOwn(schema, 'const')) return [schema['const']];
  return Array.isArray(schema['enum']) ? (schema['enum'] as unknown[]) : undefined;
}

/** Whether the two could be about one value at all. */
function overlap(reader: Keywords, writer: Keywords): boolean {
  const [read, written] = [reader['type'], writer['type']];
  if (read === written || read === undefined || read === 'value' || written === 'value') return true;
  return read === 'number' && written === 'integer';
}

function propertiesOf(schema: Keywords): Readonly<Record<string, JsonSchema>> {
  return (schema['properties'] as Readonly<Record<string, JsonSchema>> | undefined) ?? {};
}

function namesIn(schema: Keywords, keyword: string): ReadonlySet<string> {
  return new Set((schema[keyword] as readonly string[] | undefined) ?? []);
}

const LEAST: readonly (readonly [string, string])[] = [
  ['minimum', ''],
  ['exclusiveMinimum', ''],
  ['minLength', ' characters'],
  ['minItems', ' items'],
  ['minProperties', ' members'],
];
const MOST: readonly (readonly [string, string])[] = [
  ['maximum', ''],
  ['exclusiveMaximum', ''],
  ['maxLength', ' characters'],
  ['maxItems', ' items'],
  ['maxProperties', ' members'],
];
/** Words of which the reader's must be the writer's, if it has one. */
const SAME = ['pattern', 'format', 'multipleOf', 'uniqueItems', 'contentEncoding'] as const;

function boundsDifferences(reader: Keywords, writer: Keywords, path: string): Difference[] {
  const found: Difference[] = [];
  for (const [keyword, unit] of LEAST) {
    const [read, written] = [reader[keyword], leastOf(writer, keyword)];
    if (typeof read !== 'number' || written >= read) continue;
    const come = Number.isFinite(written) ? `${String(written)} may come` : 'less may come';
    found.push({ path, text: `takes at least ${String(read)}${unit}, ${come}` });
  }
  for (const [keyword, unit] of MOST) {
    const [read, written] = [reader[keyword], mostOf(writer, keyword)];
    if (typeof read !== 'number' || written <= read) continue;
    const come = Number.isFinite(written) ? `up to ${String(written)} may come` : 'more may come';
    found.push({ path, text: `takes at most ${String(read)}${unit}, ${come}` });
  }
  for (const keyword of SAME) {
    const read = reader[keyword];
    if (read === undefined || read === false || read === writer[keyword]) continue;
    found.push({
      path,
      text: `takes only what has the ${keyword} ${JSON.stringify(read)}, other values may come`,
    });
  }
  return found;
}

function leastOf(schema: Keywords, keyword: string): number {
  const own = schema[keyword];
  if (typeof own === 'number') return own;
  // An inclusive bound is met by an exclusive one of the same number, but not the other way round.
  const stricter = keyword === 'minimum' ? schema['exclusiveMinimum'] : undefined;
  return typeof stricter === 'number' ? stricter : keyword.endsWith('imum') ? -Infinity : 0;
}

function mostOf(schema: Keywords, keyword: string): number {
  const own = schema[keyword];
  if (typeof own === 'number') return own;
  const stricter = keyword === 'maximum' ? schema['exclusiveMaximum'] : undefined;
  return typeof stricter === 'number' ? stricter : Infinity;
}

/** Whether one value, of those that a schema lists, is taken. */
function fits(reader: Keywords, value: unknown): boolean {
  const values = valuesOf(reader);
  if (values !== undefined) return values.some((known) => known === value);
  if (reader['type'] !== undefined && reader['type'] !== typeOf(value)) {
    if (!(reader['type'] === 'number' && typeOf(value) === 'integer')) return false;
  }
  if (typeof value === 'string') {
    const { pattern, format } = reader as { readonly pattern?: string; readonly format?: string };
    if (format !== undefined || (pattern !== undefined && !new RegExp(pattern, 'u').test(value)))
      return false;
    return withinBounds(reader, value.length, ['minLength', 'maxLength']);
  }
  if (typeof value !== 'number') return true;
  const { exclusiveMinimum, exclusiveMaximum, multipleOf } = reader as Readonly<Record<string, number>>;
  if (exclusiveMinimum !== undefined && value <= exclusiveMinimum) return false;
  if (exclusiveMaximum !== undefined && value >= exclusiveMaximum) return false;
  if (multipleOf !== undefined && value % multipleOf !== 0) return false;
  return withinBounds(reader, value, ['minimum', 'maximum']);
}

function withinBounds(schema: Keywords, size: number, [least, most]: readonly [string, string]): boolean {
  const [low = -Infinity, high = Infinity] = [schema[least], schema[most]] as (number | undefined)[];
  return size >= low && size <= high;
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Number.isInteger(value)) return 'integer';
  return typeof value;
}

function nameOf(schema: Keywords): string {
  const values = valuesOf(schema);
  if (values !== undefined) return values.map((value) => JSON.stringify(value)).join(' or ');
  const { type } = schema;
  return typeof type === 'string' ? type : 'anything';
}

function namesOf(schemas: readonly Keywords[]): string {
  return schemas.length === 0 ? 'nothing' : [...new Set(schemas.map(nameOf))].join(' or ');
}
