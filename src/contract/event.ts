import type { Field, Source, Value, Values } from '../define/index.ts';

/** Why a record was put into quarantine. docs/reference/quarantine.md explains each. */
export type QuarantineCode =
  | 'NOT_JSON'
  | 'NOT_UTF8'
  | 'NOT_CSV'
  | 'NOT_AN_OBJECT'
  | 'TOO_DEEP'
  | 'TOO_LARGE'
  | 'FIELD_MISSING'
  | 'FIELD_UNKNOWN'
  | 'FIELD_TYPE'
  | 'FIELD_RANGE'
  | 'NO_CORRECTIONS'
  | 'TIME_IN_FUTURE';

/** What was wrong with a record. */
export interface Rejection {
  readonly code: QuarantineCode;
  /** The field it is about, where it is about one. */
  readonly field?: string;
  /** What was expected and what came, in words. Values of personal fields are not repeated. */
  readonly reason: string;
}

/**
 * An event in the one form that both feature engines read: ids, keys and text as strings, timestamps in milliseconds
 * UTC, money as a whole number of the smallest unit, absent optional fields as null.
 */
export interface Event {
  readonly id: string;
  /** Event time, milliseconds since 1970-01-01 UTC. */
  readonly time: number;
  readonly key: string;
  readonly values: Values;
  /** Which of the records with the id counts: the highest. Absent for the first one, which is 0. */
  readonly revision?: number;
  /** Whether it takes the event away. Then it has an id and a key, other values are null, and its time is -Infinity. */
  readonly deleted?: boolean;
}

/** What a record says beside the fields of its source. No field's name begins with `_`. */
export const REVISION_FIELD = '_revision';
export const DELETED_FIELD = '_deleted';

/** What a record does to the event with its id. */
export type EventMark = Pick<Event, 'revision' | 'deleted'>;

export type EventResult = { readonly event: Event } | { readonly rejection: Rejection };

/** Reads a parsed record as an event of a source. */
export type EventReader = (record: unknown) => EventResult;

/** The event that has these values, which keep the contract of its source. */
export function eventFromValues(source: Source, values: Values, mark?: EventMark): Event {
  const event = {
    id: String(values[source.id]),
    time: mark?.deleted === true ? Number.NEGATIVE_INFINITY : Number(values[source.time]),
    key: String(values[source.key]),
    values,
  };
  return mark === undefined ? event : { ...event, ...mark };
}

/**
 * Compiles how records of the log are read: events, and of a source with corrections whatever has a `_revision` above 0, which
 * replaces the event of that id or, with `_deleted`, takes it away.
 */
export function compileRecordReader(source: Source): EventReader {
  const read = compileEventReader(source);
  if (source.corrections !== true) {
    return (record) => {
      const result = read(record);
      if (!('rejection' in result) || result.rejection.code !== 'FIELD_UNKNOWN') return result;
      const { field } = result.rejection;
      if (field !== REVISION_FIELD && field !== DELETED_FIELD) return result;
      return reject(
        'NO_CORRECTIONS',
        field,
        `'${source.name}' takes no corrections: corrections: true is not set`,
      );
    };
  }
  const readDeletion = compileDeletionReader(source);
  return (record) => {
    if (!isObject(record) || !(REVISION_FIELD in record || DELETED_FIELD in record)) return read(record);
    const { [REVISION_FIELD]: rawRevision, [DELETED_FIELD]: rawDeleted, ...given } = record;
    const deleted = rawDeleted ?? false;
    const revision = rawRevision ?? (deleted === true ? null : 0);
    if (typeof deleted !== 'boolean')
      return reject('FIELD_TYPE', DELETED_FIELD, `'${DELETED_FIELD}': expected true or false`);
    if (revision === null)
      return reject('FIELD_MISSING', REVISION_FIELD, `a deletion needs a '${REVISION_FIELD}' from 1 on`);
    const expected = `'${REVISION_FIELD}': expected a whole number from ${deleted ? '1' : '0'} to 2^53 - 1`;
    if (typeof revision !== 'number' || Number.isNaN(revision))
      return reject('FIELD_TYPE', REVISION_FIELD, expected);
    if (!Number.isSafeInteger(revision) || revision < (deleted ? 1 : 0))
      return reject('FIELD_RANGE', REVISION_FIELD, expected);
    if (deleted) return readDeletion(given, { revision, deleted });
    const result = read(given);
    if (revision === 0 || !('event' in result)) return result;
    return { event: { ...result.event, revision } };
  };
}

/** A deletion names its event by id and key. Other fields may stand beside them, as in the row that was deleted: nobody reads them. */
function compileDeletionReader(
  source: Source,
): (given: Readonly<Record<string, unknown>>, mark: EventMark) => EventResult {
  const names = Object.keys(source.fields);
  const needed = [...new Set([source.id, source.key])].flatMap((name) => {
    const field = source.fields[name];
    return field === undefined ? [] : [{ name, field, read: fieldReader(field) }];
  });
  return (given, mark) => {
    const values: Record<string, Value> = Object.fromEntries(names.map((name) => [name, null]));
    for (const { name, field, read } of needed) {
      const raw = Object.hasOwn(given, name) ? (given[name] ?? null) : null;
      if (raw === null) return reject('FIELD_MISSING', name, `field '${name}' is required`);
      const value = read(raw);
      if (typeof value === 'object')
        return reject(value.code, name, `field '${name}': ${explain(value, field, raw)}`);
      values[name] = value;
    }
    const unknown = Object.keys(given).find((name) => !names.includes(name));
    if (unknown === undefined) return { event: eventFromValues(source, values, mark) };
    const shown = printable(unknown);
    return reject('FIELD_UNKNOWN', shown, `'${source.name}' has no field '${shown}'`);
  };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Compiles the contract of a source: one check per field, no interpretation per record. */
export function compileEventReader(source: Source): EventReader {
  const names = Object.keys(source.fields);
  const checks = Object.entries(source.fields).map(([name, field]) => ({
    name,
    field,
    read: fieldReader(field),
  }));
  return (record) => {
    if (typeof record !== 'object' || record === null || Array.isArray(record)) {
      return reject('NOT_AN_OBJECT', undefined, `expected an object with the fields of '${source.name}'`);
    }
    const values: Record<string, Value> = {};
    const given = record as Readonly<Record<string, unknown>>;
    let seen = 0;
    for (const { name, field, read } of checks) {
      const raw = Object.hasOwn(given, name) ? given[name] : undefined;
      if (raw !== undefined) seen += 1;
      if (raw === undefined || raw === null) {
        if (!field.optional) return reject('FIELD_MISSING', name, `field '${name}' is required`);
        values[name] = null;
        continue;
      }
      const value = read(raw);
      if (typeof value === 'object')
        return reject(value.code, name, `field '${name}': ${explain(value, field, raw)}`);
      values[name] = value;
    }
    if (seen !== Object.keys(given).length) {
      const unknown = Object.keys(given).find((name) => !names.includes(name));
      if (unknown !== undefined) {
        const shown = printable(unknown);
        return reject('FIELD_UNKNOWN', shown, `'${source.name}' has no field '${shown}'`);
      }
    }
    return { event: eventFromValues(source, values) };
  };
}

/** Characters of an id or key, and of a text, where the field says nothing else. */
const IDENTITY_LENGTH_MAX = 128;
const TEXT_LENGTH_MAX = 1_000;

/** One field of a source's contract. */
export interface FieldCheck {
  readonly name: string;
  readonly optional: boolean;
  /** The value in the form of an {@link Event}; `undefined` when what came breaks the contract. */
  readonly read: (raw: number | string | boolean) => Value | undefined;
  /**
   * Where printable ASCII is a value as it is: the shortest and the longest that is one. Whoever has seen each character need not
   * have it looked at again.
   */
  readonly plain?: { readonly lengthMin: number; readonly lengthMax: number };
}

/**
 * The checks of {@link compileEventReader} one by one, for whoever has the fields of a record without having parsed it into an
 * object. Arrays must be given as their text.
 */
export function compileFieldChecks(source: Source): readonly FieldCheck[] {
  return Object.entries(source.fields).map(([name, field]) => {
    const read = fieldReader(field);
    return {
      name,
      optional: field.optional,
      read: (raw) => {
        const value = read(raw);
        return typeof value === 'object' ? undefined : value;
      },
      ...plainOf(field),
    };
  });
}

function plainOf(field: Field): Pick<FieldCheck, 'plain'> {
  if (field.kind === 'text') return { plain: { lengthMin: 0, lengthMax: field.maximum ?? TEXT_LENGTH_MAX } };
  if (field.kind !== 'id' && field.kind !== 'key') return {};
  return { plain: { lengthMin: 1, lengthMax: field.maximum ?? IDENTITY_LENGTH_MAX } };
}

interface Misfit {
  readonly code: 'FIELD_TYPE' | 'FIELD_RANGE';
  readonly expected: string;
}

type FieldReader = (raw: unknown) => number | string | boolean | Misfit;

const SAFE = Number.MAX_SAFE_INTEGER;
/** Years 1900 to 2200: outside of it a time is a mistake of unit. */
const TIME_MS_MIN = -2_208_988_800_000;
const TIME_MS_MAX = 7_258_118_400_000;
const ISO_8601 = /^(\d{4})-(\d{2})-(\d{2})T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})$/;

function fieldReader(field: Field): FieldReader {
  switch (field.kind) {
    case 'id':
    case 'key':
      return identityReader(field.maximum ?? IDENTITY_LENGTH_MAX);
    case 'timestamp':
      return readTimestamp;
    case 'money':
      return moneyReader(field.decimals ?? 2);
    case 'number':
      return numberReader(field, false);
    case 'integer':
      return numberReader(field, true);
    case 'boolean':
      return (raw) => (typeof raw === 'boolean' ? raw : misfit('FIELD_TYPE', 'true or false'));
    case 'text':
      return textReader(field.maximum ?? TEXT_LENGTH_MAX);
    case 'embedding':
      return embeddingReader(field.length ?? 0);
  }
}

/**
 * Text that every store keeps as it is. A NUL cannot be stored by PostgreSQL, and half a surrogate pair becomes another
 * character in UTF-8: two keys that differ here would be one key there.
 */
function isStorable(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0');
}

function textReader(lengthMax: number): FieldReader {
  const expected = `at most ${String(lengthMax)} characters of well-formed text without NUL`;
  return (raw) => {
    if (typeof raw !== 'string') return misfit('FIELD_TYPE', 'a string');
    return raw.length <= lengthMax && isStorable(raw) ? raw : misfit('FIELD_RANGE', expected);
  };
}

function identityReader(lengthMax: number): FieldReader {
  const expected = `a well-formed string of 1 to ${String(lengthMax)} characters or a whole number below 2^53`;
  return (raw) => {
    if (typeof raw === 'string') {
      const fits = raw.length > 0 && raw.length <= lengthMax && isStorable(raw);
      return fits ? raw : misfit('FIELD_RANGE', expected);
    }
    if (typeof raw !== 'number') return misfit('FIELD_TYPE', expected);
    return Number.isInteger(raw) && Math.abs(raw) <= SAFE ? String(raw) : misfit('FIELD_RANGE', expected);
  };
}

function readTimestamp(raw: unknown): number | Misfit {
  const expected = 'an ISO 8601 instant with Z or an offset, or whole milliseconds since 1970';
  let time: number;
  if (typeof raw === 'number') {
    time = Number.isInteger(raw) ? raw : Number.NaN;
  } else if (typeof raw === 'string') {
    const parts = ISO_8601.exec(raw);
    time = parts === null ? Number.NaN : Date.parse(raw);
    // Date.parse turns the 30th of February into the 1st of March.
    if (parts !== null && Number(parts[3]) > daysOfMonth(Number(parts[1]), Number(parts[2]))) {
      return misfit('FIELD_RANGE', 'a day that exists');
    }
  } else {
    return misfit('FIELD_TYPE', expected);
  }
  if (Number.isNaN(time)) return misfit('FIELD_TYPE', expected);
  return time >= TIME_MS_MIN && time <= TIME_MS_MAX
    ? time + 0
    : misfit('FIELD_RANGE', 'a time from 1900 to 2200');
}

function daysOfMonth(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/**
 * A JSON number has been rounded to 53 bits before we see it. Up to 15 significant digits that loses nothing; beyond it
 * two amounts can become one number, so larger amounts must come as strings.
 */
const DECIMAL_EXACT_MAX = 1e15;
const AMOUNT = /^(-?)(\d+)(?:\.(\d+))?$/;
const AMOUNT_LENGTH_MAX = 64;

function moneyReader(decimals: number): FieldReader {
  const unit = 10 ** decimals;
  const numberMax = decimals === 0 ? SAFE : DECIMAL_EXACT_MAX;
  const expected =
    `an amount with at most ${String(decimals)} decimals, below 2^53 of the smallest unit, ` +
    'as a number of at most 15 digits or a string';
  const tooFine = misfit('FIELD_RANGE', expected);
  return (raw) => {
    if (typeof raw === 'number') {
      const minor = Math.round(raw * unit);
      // Dividing back is correctly rounded, so it gives the number that came exactly if that number has these decimals.
      return Math.abs(minor) <= numberMax && minor / unit === raw ? minor + 0 : tooFine;
    }
    const parts = typeof raw === 'string' && raw.length <= AMOUNT_LENGTH_MAX ? AMOUNT.exec(raw) : null;
    if (parts === null) return misfit('FIELD_TYPE', expected);
    const [, sign = '', whole = '', fraction = ''] = parts;
    if (!/^0*$/.test(fraction.slice(decimals))) return tooFine;
    // Only digits, so this is exact below 2^53 and above 2^53 beyond it.
    const minor = Number(sign + whole + fraction.slice(0, decimals).padEnd(decimals, '0'));
    return Math.abs(minor) <= SAFE ? minor + 0 : tooFine;
  };
}

function numberReader(field: Field, whole: boolean): FieldReader {
  const low = field.minimum ?? (whole ? -SAFE : -Number.MAX_VALUE);
  const high = field.maximum ?? (whole ? SAFE : Number.MAX_VALUE);
  const expected = `${whole ? 'a whole' : 'a finite'} number from ${String(low)} to ${String(high)}`;
  return (raw) => {
    if (typeof raw !== 'number' || Number.isNaN(raw)) return misfit('FIELD_TYPE', expected);
    if (whole && Number.isFinite(raw) && !Number.isInteger(raw)) return misfit('FIELD_TYPE', expected);
    if (whole && Math.abs(raw) > SAFE) return misfit('FIELD_RANGE', expected);
    // Adding 0 makes -0 to 0: the two are equal, but not to the bit.
    return raw >= low && raw <= high ? raw + 0 : misfit('FIELD_RANGE', expected);
  };
}

/** Text of an embedding is longer than this for each of its numbers only with blanks that nobody needs. */
const ELEMENT_LENGTH_MAX = 32;

/** An embedding becomes the text of its array: values of events are scalars in every store. */
function embeddingReader(length: number): FieldReader {
  const expected = `an array of ${String(length)} finite numbers, or its text`;
  return (raw) => {
    const elements = typeof raw === 'string' ? parsed(raw, length * ELEMENT_LENGTH_MAX) : raw;
    if (!Array.isArray(elements)) return misfit('FIELD_TYPE', expected);
    if (elements.length !== length) return misfit('FIELD_RANGE', expected);
    const numbers: number[] = [];
    for (const element of elements as readonly unknown[]) {
      if (typeof element !== 'number' || Number.isNaN(element)) return misfit('FIELD_TYPE', expected);
      if (!Number.isFinite(element)) return misfit('FIELD_RANGE', expected);
      numbers.push(element + 0);
    }
    return JSON.stringify(numbers);
  };
}

function parsed(text: string, lengthMax: number): unknown {
  if (text.length > lengthMax) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function misfit(code: Misfit['code'], expected: string): Misfit {
  return { code, expected };
}

function explain(value: Misfit, field: Field, raw: unknown): string {
  return `expected ${value.expected}; got ${field.personal === 'none' ? describe(raw) : `a ${typeof raw}`}`;
}

/** What came, short: never prints a whole structure, which may be deep or large. */
function describe(raw: unknown): string {
  if (Array.isArray(raw)) return 'an array';
  if (typeof raw === 'string') return JSON.stringify(clip(raw));
  if (typeof raw === 'number' || typeof raw === 'boolean') return String(raw);
  return `an ${typeof raw}`;
}

function clip(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}

/** A name that came from outside, short and without characters that a log or a table cannot show. */
function printable(name: string): string {
  return clip(name)
    .toWellFormed()
    .replaceAll(/\p{Cc}/gu, '\ufffd');
}

function reject(code: QuarantineCode, field: string | undefined, reason: string): EventResult {
  return { rejection: { code, ...(field === undefined ? {} : { field }), reason } };
}
