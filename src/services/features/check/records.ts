import fc from 'fast-check';
import type { Field, Source } from '../../../define/index.ts';
import { aimsOfField } from './aims.ts';
import type { Subject } from './subject.ts';

/** What a producer sends for the fields of an event, but for its id and time. */
export type RecordValues = Readonly<Record<string, unknown>>;

/** So few that keys and texts meet often. The last two order differently by code unit and by code point. */
const KEYS = ['a', 'b', 'c'];
const TEXTS = ['', 'x', 'y', 'X', "o'x", '\u{fb00}', '\u{1d4b3}'];
const NULL_ONE_IN = 4;
const HOUR_MS = 3_600_000;

/** Records of a source: fields by their type, aimed at what definitions compare them with. */
export function recordArbitrary(subject: Subject, source: Source): fc.Arbitrary<RecordValues> {
  const fields = Object.entries(source.fields).filter(
    ([name]) => name !== source.time && (name !== source.id || subject.keys.has(name)),
  );
  return fc.record(
    Object.fromEntries(fields.map(([name, field]) => [name, fieldArbitrary(subject, name, field)])),
  );
}

/** The simplest record of a source: what a reader of a failure need not think about. */
export function plainRecord(subject: Subject, source: Source): RecordValues {
  const entries = Object.entries(source.fields)
    .filter(([name]) => name !== source.time && (name !== source.id || subject.keys.has(name)))
    .map(([name, field]) => [name, plainValue(field)]);
  return Object.fromEntries(entries) as RecordValues;
}

function plainValue(field: Field): unknown {
  switch (field.kind) {
    case 'id':
    case 'key':
      return KEYS[0];
    case 'text':
      return 'x'.slice(0, field.maximum);
    case 'timestamp':
      return 0;
    case 'money':
      return 1;
    case 'number':
    case 'integer':
      return within(field, 1);
    case 'boolean':
      return true;
    case 'embedding':
      return Array.from({ length: field.length ?? 0 }, (_, index) => index);
  }
}

function fieldArbitrary(subject: Subject, name: string, field: Field): fc.Arbitrary<unknown> {
  const value = valueArbitrary(subject, name, field);
  return field.optional ? fc.option(value, { freq: NULL_ONE_IN - 1 }) : value;
}

function valueArbitrary(subject: Subject, name: string, field: Field): fc.Arbitrary<unknown> {
  const { aims } = subject;
  const near = aimsOfField(aims, name, field);
  switch (field.kind) {
    case 'id':
    case 'key':
      // Keys of streams that share a statement are told apart by more than a literal could be.
      return subject.isShared && subject.keys.has(name)
        ? fc.constantFrom(...KEYS)
        : fc.constantFrom(...KEYS, ...near.map(String));
    case 'text':
      return fc.constantFrom(
        ...TEXTS.filter((text) => text.length <= (field.maximum ?? Number.POSITIVE_INFINITY)),
        ...near.map(String),
      );
    case 'timestamp':
      return around(near.map(Number), 1, [
        fc.integer({ min: -200, max: 200 }).map((hours) => aims.start + hours * HOUR_MS),
        fc.integer({ min: -aims.shortestMs, max: aims.shortestMs }).map((lateMs) => aims.start + lateMs),
      ]);
    case 'money':
      return moneyArbitrary(field, near.map(Number));
    case 'number':
      return numberArbitrary(field, near.map(Number));
    case 'integer':
      return around(near.map(Number), 1, [
        fc.integer({ min: -3, max: 9 }).map((number) => within(field, number)),
        integerBetween(field),
      ]).map((number) => Math.round(within(field, number)));
    case 'boolean':
      return fc.boolean();
    case 'embedding':
      // Eighths are added without rounding.
      return fc
        .array(fc.integer({ min: -80, max: 80 }), {
          minLength: field.length ?? 0,
          maxLength: field.length ?? 0,
        })
        .map((eighths) => eighths.map((number) => number / 8));
  }
}

/** Amounts as producers send them: numbers in the main unit, of at most 15 digits. */
function moneyArbitrary(field: Field, near: readonly number[]): fc.Arbitrary<number> {
  const unit = 10 ** (field.decimals ?? 2);
  return around(near, 1, [
    fc.integer({ min: -500, max: 2_000 }),
    fc.integer({ min: 0, max: 9 }).map((whole) => whole * unit),
    fc.constantFrom(0, 123_456_789_012),
  ]).map((minor) => minor / unit);
}

function numberArbitrary(field: Field, near: readonly number[]): fc.Arbitrary<number> {
  return around(near, 0.5, [
    fc.integer({ min: -3, max: 9 }),
    // Halves, quarters and eighths are added without rounding, tenths are not.
    fc.integer({ min: -80, max: 80 }).map((eighths) => eighths / 8),
    fc.integer({ min: -1_000, max: 1_000 }).map((tenths) => tenths / 10),
    integerBetween(field),
  ]).map((number) => within(field, number));
}

/** Mostly one of `others`; where there are aims, as often one of those, or a step beside it. */
function around(
  near: readonly number[],
  step: number,
  others: readonly fc.Arbitrary<number>[],
): fc.Arbitrary<number> {
  const [first, ...more] = others;
  const other =
    first === undefined
      ? fc.constant(0)
      : fc.oneof({ weight: 4, arbitrary: first }, ...more.map((arbitrary) => ({ weight: 1, arbitrary })));
  if (near.length === 0) return other;
  const aimed = near.flatMap((value) => [value, value - step, value + step]);
  return fc.oneof(other, fc.constantFrom(...aimed));
}

/** How far from zero numbers without bounds go: sums of them keep their digits. */
const NUMBER_MAX = 1_000_000;

function integerBetween(field: Field): fc.Arbitrary<number> {
  const min = Math.ceil(Math.max(field.minimum ?? -NUMBER_MAX, Number.MIN_SAFE_INTEGER));
  const max = Math.floor(Math.min(field.maximum ?? Math.max(NUMBER_MAX, min), Number.MAX_SAFE_INTEGER));
  return min > max ? fc.constant(within(field, 0)) : fc.integer({ min: Math.min(min, max), max });
}

function within(field: Field, value: number): number {
  return Math.min(
    field.maximum ?? Number.POSITIVE_INFINITY,
    Math.max(field.minimum ?? Number.NEGATIVE_INFINITY, value),
  );
}
