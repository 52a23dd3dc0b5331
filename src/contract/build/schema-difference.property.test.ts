import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { JsonSchema } from './description.ts';
import { type Reading, schemaDifferences } from './schema-difference.ts';

type Keywords = Record<string, unknown>;

const NAMES = ['a', 'b', 'c'] as const;

const numbers: fc.Arbitrary<Keywords> = fc
  .tuple(
    fc.constantFrom('integer', 'number'),
    fc.integer({ min: -5, max: 5 }),
    fc.integer({ min: 0, max: 5 }),
  )
  .chain(([type, low, more]) =>
    fc.constantFrom({ type }, { type, minimum: low }, { type, minimum: low, maximum: low + more }),
  );
const strings: fc.Arbitrary<Keywords> = fc.constantFrom(
  { type: 'string' },
  { type: 'string', maxLength: 3 },
  { type: 'string', minLength: 1, maxLength: 2 },
  { type: 'string', pattern: '^[xy]+$' },
  { type: 'string', enum: ['x', 'y'] },
  { type: 'string', enum: ['x'] },
  { type: 'string', const: 'y' },
);
const others: fc.Arbitrary<Keywords> = fc.constantFrom({ type: 'boolean' }, { type: 'null' });

const { schema } = fc.letrec<{ schema: Keywords; leaf: Keywords }>((tie) => ({
  leaf: fc.oneof(numbers, strings, others),
  schema: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    tie('leaf'),
    fc
      .record({
        shape: fc.dictionary(fc.constantFrom(...NAMES), fc.tuple(tie('schema'), fc.boolean()), {
          maxKeys: 3,
          noNullPrototype: true,
        }),
        closed: fc.boolean(),
      })
      .map(({ shape, closed }) => objectOf(shape as Record<string, [Keywords, boolean]>, closed)),
    tie('schema').map((items) => ({ type: 'array', items, maxItems: 3 })),
    fc.tuple(tie('schema'), tie('schema')).map((anyOf) => ({ anyOf })),
    tie('leaf').map((values) => ({
      type: 'object',
      propertyNames: { type: 'string' },
      additionalProperties: values,
    })),
  ),
}));

function objectOf(shape: Record<string, [Keywords, boolean]>, closed: boolean): Keywords {
  return {
    type: 'object',
    properties: Object.fromEntries(Object.entries(shape).map(([name, [of]]) => [name, of])),
    required: Object.keys(shape).filter((name) => shape[name]?.[1] === true),
    ...(closed ? { additionalProperties: false } : {}),
  };
}

/** Values that a writer of the schema may write: it writes no member that it does not name. */
function written(of: Keywords): fc.Arbitrary<unknown> {
  if (Array.isArray(of['anyOf'])) return fc.oneof(...(of['anyOf'] as Keywords[]).map(written));
  if (Array.isArray(of['enum'])) return fc.constantFrom(...(of['enum'] as unknown[]));
  if ('const' in of) return fc.constant(of['const']);
  const [least, most] = [of['minimum'] ?? -9, of['maximum'] ?? 9] as [number, number];
  switch (of['type']) {
    case 'integer':
      return fc.integer({ min: least, max: Math.max(least, most) });
    case 'number':
      return fc.double({ min: least, max: Math.max(least, most), noNaN: true }).map((value) => value + 0);
    case 'string': {
      const { pattern, minLength = 0, maxLength = 4 } = of as { pattern?: string } & Record<string, number>;
      const unit = fc.constantFrom('x', 'y', ...(pattern === undefined ? ['z'] : []));
      return fc.string({ unit, minLength: pattern === undefined ? minLength : 1, maxLength });
    }
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case 'array':
      return fc.array(written(of['items'] as Keywords), { maxLength: 3 });
    default: {
      if (of['properties'] === undefined) {
        const values = written(of['additionalProperties'] as Keywords);
        return fc.dictionary(fc.constantFrom(...NAMES, 'd'), values, { noNullPrototype: true });
      }
      const properties = of['properties'] as Record<string, Keywords>;
      const model = Object.fromEntries(
        Object.entries(properties).map(([name, member]) => [name, written(member)]),
      );
      return fc.record(model, { requiredKeys: of['required'] as string[], noNullPrototype: true });
    }
  }
}

/** The judge: zod, which has no part in the comparison. A lenient reader has no closed objects. */
function isRead(reader: Keywords, value: unknown, reading: Reading): boolean {
  const open = reading === 'strict' ? reader : opened(reader);
  return z.fromJSONSchema(open as Parameters<typeof z.fromJSONSchema>[0]).safeParse(value).success;
}

function opened(of: Keywords): Keywords {
  return JSON.parse(JSON.stringify(of), (name: string, value: unknown) =>
    name === 'additionalProperties' && value === false ? undefined : value,
  ) as Keywords;
}

const compare = (reader: JsonSchema, writer: JsonSchema, reading: Reading): readonly unknown[] =>
  schemaDifferences(reader, writer, { path: 'body', reading });

/** Another schema that is often nearly the same: that is where mistakes hide. */
const pairs = fc.oneof(
  fc.tuple(schema, schema),
  schema.chain((one) => fc.tuple(fc.constant(one), mutated(one))),
);

function mutated(of: Keywords): fc.Arbitrary<Keywords> {
  const properties = of['properties'] as Record<string, Keywords> | undefined;
  const required = (of['required'] as string[] | undefined) ?? [];
  if (properties === undefined) return schema;
  return fc.oneof(
    fc.constant({ ...of, required: Object.keys(properties) }),
    fc.constant({ ...of, required: required.slice(1) }),
    fc.constant({ ...of, additionalProperties: false }),
    schema.map((more) => ({ ...of, properties: { ...properties, c: more } })),
    ...Object.entries(properties).map(([name, member]) =>
      mutated(member).map((other) => ({ ...of, properties: { ...properties, [name]: other } })),
    ),
  );
}

describe('comparing schemas', () => {
  it.each(['strict', 'lenient'] as const)(
    'what is said to fit fits: a %s reader takes every value',
    (reading) => {
      let fitting = 0;
      const property = fc.property(
        pairs.chain(([reader, writer]) =>
          fc.tuple(fc.constant(reader), fc.constant(writer), fc.array(written(writer), { minLength: 5 })),
        ),
        ([reader, writer, values]) => {
          if (compare(reader, writer, reading).length > 0) return;
          fitting += 1;
          for (const value of values) expect(isRead(reader, value, reading)).toBe(true);
        },
      );
      fc.assert(property, { numRuns: 1_500, seed: 18 });
      // A comparison that refuses everything would pass as well.
      expect(fitting).toBeGreaterThan(150);
    },
  );

  it('every schema fits itself', () => {
    fc.assert(
      fc.property(schema, (one) => {
        expect(compare(one, one, 'strict')).toEqual([]);
        expect(compare(true, one, 'strict')).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  it('a member that is needed, or not known any more, never fits', () => {
    fc.assert(
      fc.property(schema, schema, (one, other) => {
        const base = { type: 'object', properties: { a: one }, required: ['a'], additionalProperties: false };
        const more = { ...base, properties: { a: one, n: other } };
        expect(compare({ ...more, required: ['a', 'n'] }, more, 'strict')).toHaveLength(1);
        expect(compare(base, more, 'strict')).toHaveLength(1);
        expect(compare(base, more, 'lenient')).toEqual([]);
        expect(compare(more, base, 'strict')).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });
});
