import { isSpace, trim } from './body.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACKET = 0x5d;
const CLOSE_BRACE = 0x7d;
/** `[` and `{` differ in this bit only, and so do `]` and `}`. */
const BRACE_BIT = 0x20;

/**
 * Whether JSON text is nested deeper than `depthMax`, found on its bytes in one pass and without recursion: it is asked
 * before JSON.parse, which needs seconds for a million nested arrays.
 */
export function isDeeper(bytes: Uint8Array, depthMax: number): boolean {
  // Text with few opening brackets cannot be deep, whatever its strings hold: that is nearly all of it.
  let opened = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    if (((bytes[at] ?? 0) | BRACE_BIT) === OPEN_BRACE) opened += 1;
  }
  return opened > depthMax && deepest(bytes, depthMax) > depthMax;
}

/** The deepest nesting, but no more than one above `enough`. */
function deepest(bytes: Uint8Array, enough: number): number {
  let depth = 0;
  let found = 0;
  for (let at = 0; at < bytes.length && found <= enough; at += 1) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      at = endOfString(bytes, at);
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      depth += 1;
      if (depth > found) found = depth;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      depth -= 1;
    }
  }
  return found;
}

/** Position of the quote that ends the string that begins at `at`; the end of the bytes when there is none. */
function endOfString(bytes: Uint8Array, at: number): number {
  for (let position = at + 1; position < bytes.length; position += 1) {
    const byte = bytes[position];
    if (byte === QUOTE) return position;
    if (byte === BACKSLASH) position += 1;
  }
  return bytes.length;
}

/** An element of an array as it was written. */
export interface Element {
  /** A view, without white space around it. */
  readonly bytes: Buffer;
  /** Why it cannot be read, where it is known already. */
  readonly broken?: string;
}

/** Whether the first byte that is not white space opens an array. */
export function beginsArray(bytes: Buffer): boolean {
  let at = 0;
  while (isSpace(bytes[at])) at += 1;
  return bytes[at] === OPEN_BRACKET;
}

/**
 * Cuts the text of a JSON array into its elements by brackets, quotes and commas alone, so that every element is a record
 * of its own: it keeps its bytes, a broken one does not take the others with it, and no large text is parsed at once.
 * When brackets or quotes do not close, the rest from that element on is the last element and broken.
 */
export function* cutArray(bytes: Buffer): Generator<Element> {
  let at = bytes.indexOf(OPEN_BRACKET) + 1;
  for (let first = true; ; first = false) {
    const end = endOfElement(bytes, at);
    if (end === -1) {
      yield { bytes: trim(bytes, at), broken: 'the array is not closed: a bracket or a quote is missing' };
      return;
    }
    const element = trim(bytes, at, end);
    const closes = bytes[end] === CLOSE_BRACKET;
    if (element.length > 0) yield { bytes: element };
    else if (!(first && closes)) yield { bytes: element, broken: 'an element of the array is missing' };
    at = end + 1;
    if (!closes) continue;
    const rest = trim(bytes, at);
    if (rest.length > 0) yield { bytes: rest, broken: 'something follows the end of the array' };
    return;
  }
}

/** Position of the comma or bracket that ends the element that begins at `from`; -1 when there is none. */
function endOfElement(bytes: Buffer, from: number): number {
  let depth = 0;
  for (let at = from; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      at = endOfString(bytes, at);
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      depth += 1;
    } else if (byte === COMMA || byte === CLOSE_BRACKET || byte === CLOSE_BRACE) {
      if (depth === 0 && byte !== CLOSE_BRACE) return at;
      if (depth > 0 && byte !== COMMA) depth -= 1;
    }
  }
  return -1;
}
