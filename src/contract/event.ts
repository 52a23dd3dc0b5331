import type { Field, Source, Value } from '../define/index.ts';

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
  readonly values: Readonly<Record<string, Value>>;
}

export type EventResult = { readonly event: Event } | { readonly rejection: Rejection };

/** Reads a parsed record as an event of a source. */
export type EventReader = (record: unknown) => EventResult;

/** Compiles the contract of a source: one check per field, no interpretation per record. */
export function compileEventReader(source: Source): EventReader {
  const names = Object.keys(source.fields);
  const checks = Object.entries(source.fields).map(([name, field]) => ({ name, field, read: fieldReader(field) }));
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
      if (typeof value === 'object') return reject(value.code, name, `field '${name}': ${explain(value, field, raw)}`);
      values[name] = value;
    }
    if (seen !== Object.keys(given).length) {
      const unknown = Object.keys(given).find((name) => !names.includes(name));
      if (unknown !== undefined) {
        return reject('FIELD_UNKNOWN', clip(unknown), `'${source.name}' has no field '${clip(unknown)}'`);
      }
    }
    return {
      event: {
        id: values[source.id] as string,
        time: values[source.time] as number,
        key: values[source.key] as string,
        values,
      },
    };
  };
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
const ISO_8601 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})$/;

function fieldReader(field: Field): FieldReader {
  switch (field.kind) {
    case 'id':
    case 'key':
      return identityReader(field.maximum ?? 128);
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
    case 'text': {
      const lengthMax = field.maximum ?? 1_000;
      return (raw) => {
        if (typeof raw !== 'string') return misfit('FIELD_TYPE', 'a string');
        return raw.length <= lengthMax ? raw : misfit('FIELD_RANGE', `at most ${String(lengthMax)} characters`);
      };
    }
  }
}

function identityReader(lengthMax: number): FieldReader {
  const expected = `a string of 1 to ${String(lengthMax)} characters or a whole number below 2^53`;
  return (raw) => {
    if (typeof raw === 'string') {
      return raw.length > 0 && raw.length <= lengthMax ? raw : misfit('FIELD_RANGE', expected);
    }
    if (typeof raw !== 'number') return misfit('FIELD_TYPE', expected);
    return Number.isInteger(raw) && Math.abs(raw) <= SAFE ? String(raw) : misfit('FIELD_RANGE', expected);
  };
}

function readTimestamp(raw: unknown): number | Misfit {
  const expected = 'an ISO 8601 instant with Z or an offset, or whole milliseconds since 1970';
  let time: number;
  if (typeof raw === 'number') time = Number.isInteger(raw) ? raw : Number.NaN;
  else if (typeof raw === 'string') time = ISO_8601.test(raw) ? Date.parse(raw) : Number.NaN;
  else return misfit('FIELD_TYPE', expected);
  if (Number.isNaN(time)) return misfit('FIELD_TYPE', expected);
  return time >= TIME_MS_MIN && time <= TIME_MS_MAX ? time : misfit('FIELD_RANGE', 'a time from 1900 to 2200');
}

function moneyReader(decimals: number): FieldReader {
  const unit = 10 ** decimals;
  const pattern = new RegExp(`^-?\\d{1,15}(\\.\\d{1,${String(Math.max(decimals, 1))}})?$`);
  const expected = `an amount with at most ${String(decimals)} decimals, below 2^53 of the smallest unit`;
  return (raw) => {
    let amount: number;
    if (typeof raw === 'number') amount = raw;
    else if (typeof raw === 'string' && pattern.test(raw)) amount = Number(raw);
    else return misfit('FIELD_TYPE', expected);
    const minor = Math.round(amount * unit);
    // Dividing back is correctly rounded, so it gives the number that came exactly if that number has these decimals.
    return Math.abs(minor) <= SAFE && minor / unit === amount ? minor + 0 : misfit('FIELD_RANGE', expected);
  };
}

function numberReader(field: Field, whole: boolean): FieldReader {
  const low = field.minimum ?? (whole ? -SAFE : -Number.MAX_VALUE);
  const high = field.maximum ?? (whole ? SAFE : Number.MAX_VALUE);
  const expected = `${whole ? 'a whole' : 'a finite'} number from ${String(low)} to ${String(high)}`;
  return (raw) => {
    if (typeof raw !== 'number' || !Number.isFinite(raw)) return misfit('FIELD_TYPE', expected);
    if (whole && !Number.isInteger(raw)) return misfit('FIELD_TYPE', expected);
    if (whole && Math.abs(raw) > SAFE) return misfit('FIELD_RANGE', expected);
    return raw >= low && raw <= high ? raw : misfit('FIELD_RANGE', expected);
  };
}

function misfit(code: Misfit['code'], expected: string): Misfit {
  return { code, expected };
}

function explain(value: Misfit, field: Field, raw: unknown): string {
  const came = field.personal === 'none' ? clip(JSON.stringify(raw) ?? typeof raw) : `a ${typeof raw}`;
  return `expected ${value.expected}; got ${came}`;
}

function clip(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}

function reject(code: QuarantineCode, field: string | undefined, reason: string): EventResult {
  return { rejection: { code, ...(field === undefined ? {} : { field }), reason } };
}
