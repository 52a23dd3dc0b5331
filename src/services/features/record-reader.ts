import { compileFieldChecks, type Event, type EventReader, type FieldCheck } from '../../contract/index.ts';
import type { Source, Value } from '../../define/index.ts';
import type { RecordBatch } from '../../runtime/index.ts';

/** Characters by their codes. */
const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const LETTER_N = 0x6e;
const LETTER_T = 0x74;
/** Above it a character takes several bytes. */
const ASCII_MAX = 0x7f;
/** Numbers of so many digits, and powers of ten up to it, are exact: their quotient is the nearest number to what was written. */
const DIGITS_EXACT_MAX = 15;
const POWERS: readonly number[] = Array.from({ length: DIGITS_EXACT_MAX + 1 }, (_, digits) => 10 ** digits);

/** Records that lie together. */
type Records = Pick<RecordBatch, 'record' | 'body'>;

/**
 * Reads the records of a source's log as events. Nearly all are flat objects of plain text and short numbers: those are read
 * field by field out of the bytes, without an object in between. Whatever is not so plain (escapes, other alphabets, exponents, an
 * unknown field, a value that breaks the contract) is left to `JSON.parse` and the contract's own reader, which
 * also decides what is no event.
 *
 * Tried, for records of 110 bytes: see docs/decisions/0039-ready-after-a-restart.md.
 */
export class RecordReader {
  readonly #read: EventReader;
  readonly #fields: readonly FieldCheck[];
  /** Each name with its quotation marks. */
  readonly #quoted: readonly string[];
  readonly #raw: (Value | undefined)[];
  /** Has every field: a copy of it takes its values without changing its form. */
  readonly #blank: Readonly<Record<string, Value>>;
  readonly #id: number;
  readonly #time: number;
  readonly #key: number;
  /** The number that was read last. */
  #number = 0;

  /** `read` is the compiled contract of the source. */
  constructor(source: Source, read: EventReader) {
    this.#read = read;
    this.#fields = compileFieldChecks(source);
    this.#quoted = this.#fields.map(({ name }) => `"${name}"`);
    this.#raw = this.#fields.map(() => undefined);
    this.#blank = Object.fromEntries(this.#fields.map(({ name }) => [name, null]));
    const place = (wanted: string): number => this.#fields.findIndex(({ name }) => name === wanted);
    this.#id = place(source.id);
    this.#time = place(source.time);
    this.#key = place(source.key);
  }

  /** A record as an event; `undefined` when it is none under the present contract. */
  read(batch: Records, index: number): Event | undefined {
    const text = textOf(batch, index);
    if (this.#scan(text)) return this.#scanned();
    return this.#parse(batch.record(index));
  }

  #parse(bytes: Uint8Array): Event | undefined {
    let parsed: unknown;
    try {
      parsed = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
    } catch {
      return undefined;
    }
    const result = this.#read(parsed);
    return 'event' in result ? result.event : undefined;
  }

  #scanned(): Event {
    const raw = this.#raw;
    const values: Record<string, Value> = { ...this.#blank };
    for (let field = 0; field < raw.length; field += 1)
      values[this.#fields[field]?.name ?? ''] = raw[field] ?? null;
    return {
      id: String(raw[this.#id]),
      time: Number(raw[this.#time]),
      key: String(raw[this.#key]),
      values,
    };
  }

  /** Whether the text was a plain record, whose values are in `#raw` then. */
  #scan(text: string): boolean {
    const raw = this.#raw;
    for (let field = 0; field < raw.length; field += 1) raw[field] = undefined;
    let at = blanks(text, 0);
    if (text.charCodeAt(at) !== OPEN) return false;
    let expected = 0;
    let code = COMMA;
    while (code === COMMA) {
      at = blanks(text, at + 1);
      const field = this.#name(text, at, expected);
      if (field < 0) return false;
      at = blanks(text, at + (this.#quoted[field]?.length ?? 0));
      if (text.charCodeAt(at) !== COLON) return false;
      at = this.#value(text, blanks(text, at + 1), field);
      if (at < 0) return false;
      at = blanks(text, at);
      expected = field + 1;
      code = text.charCodeAt(at);
    }
    return code === CLOSE && at + 1 === text.length && this.#complete();
  }

  /** Fields that did not come are null if they may be. */
  #complete(): boolean {
    const raw = this.#raw;
    for (let field = 0; field < raw.length; field += 1) {
      if (raw[field] !== undefined) continue;
      if (this.#fields[field]?.optional !== true) return false;
      raw[field] = null;
    }
    return true;
  }

  /** The field whose name is next, which did not come before; -1 for any other. Mostly it is the one that is expected. */
  #name(text: string, at: number, expected: number): number {
    let found = expected;
    if (!isNext(text, at, this.#quoted[expected]))
      found = this.#quoted.findIndex((quoted) => isNext(text, at, quoted));
    // JSON.parse takes the last of several.
    return this.#raw[found] === undefined ? found : -1;
  }

  /** Reads a value of a field; returns where it ends, -1 when it is none of the plain ones. */
  #value(text: string, at: number, field: number): number {
    const check = this.#fields[field];
    if (check === undefined) return -1;
    const code = text.charCodeAt(at);
    let end: number;
    let raw: string | number | boolean;
    if (code === QUOTE) {
      end = stringEnd(text, at + 1) + 1;
      if (end <= 0) return -1;
      raw = text.slice(at + 1, end - 1);
      const { plain } = check;
      if (plain !== undefined && raw.length >= plain.lengthMin && raw.length <= plain.lengthMax) {
        this.#raw[field] = raw;
        return end;
      }
    } else if (code === MINUS || (code >= ZERO && code <= NINE)) {
      end = this.#readNumber(text, at);
      raw = this.#number;
    } else if (code === LETTER_N && check.optional) {
      this.#raw[field] = null;
      return isNext(text, at, 'null') ? at + 4 : -1;
    } else {
      raw = code === LETTER_T;
      end = isNext(text, at, raw ? 'true' : 'false') ? at + (raw ? 4 : 5) : 0;
    }
    if (end <= 0) return -1;
    const value = check.read(raw);
    if (value === undefined) return -1;
    this.#raw[field] = value;
    return end;
  }

  /** Reads a number into `#number`; returns where it ends, -1 when it is not exact so or not plain. */
  #readNumber(text: string, from: number): number {
    const isNegative = text.charCodeAt(from) === MINUS;
    const start = isNegative ? from + 1 : from;
    let at = start;
    let whole = 0;
    let code = text.charCodeAt(at);
    for (; code >= ZERO && code <= NINE; code = text.charCodeAt(at)) {
      whole = whole * 10 + (code - ZERO);
      at += 1;
    }
    let digits = at - start;
    if (digits === 0 || (digits > 1 && text.charCodeAt(start) === ZERO)) return -1;
    let decimals = 0;
    if (code === POINT) {
      at += 1;
      const first = at;
      code = text.charCodeAt(at);
      for (; code >= ZERO && code <= NINE; code = text.charCodeAt(at)) {
        whole = whole * 10 + (code - ZERO);
        at += 1;
      }
      decimals = at - first;
      if (decimals === 0) return -1;
      digits += decimals;
    }
    // An exponent, say, or what is none at all.
    if (code !== COMMA && code !== CLOSE && code !== SPACE) return -1;
    if (digits > DIGITS_EXACT_MAX) return -1;
    const value = decimals === 0 ? whole : whole / (POWERS[decimals] ?? 1);
    this.#number = isNegative ? -value : value;
    return at;
  }
}

/** The first place from `at` on that has no blank. */
function blanks(text: string, at: number): number {
  let next = at;
  while (text.charCodeAt(next) === SPACE) next += 1;
  return next;
}

function isNext(text: string, at: number, wanted: string | undefined): boolean {
  if (wanted === undefined) return false;
  for (let index = 0; index < wanted.length; index += 1)
    if (text.charCodeAt(at + index) !== wanted.charCodeAt(index)) return false;
  return true;
}

/** Where the quotation mark is that ends a text of plain characters; -2 when it is not so plain. */
function stringEnd(text: string, from: number): number {
  for (let at = from; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) return at;
    if (code === BACKSLASH || code < SPACE || code > ASCII_MAX) return -2;
  }
  return -2;
}

/** The bytes of a record, one character each. A text of its own: parts of it that are kept keep no whole batch. */
function textOf(batch: Records, index: number): string {
  const { body } = batch;
  if (body !== undefined)
    return body.bytes.toString('latin1', body.starts[index] ?? 0, body.starts[index + 1] ?? 0);
  const bytes = batch.record(index);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
