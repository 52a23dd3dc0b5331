import { hash } from 'node:crypto';
import { Expression } from './expression.ts';
import { beyondEvent } from './of-event.ts';

/** Bits of a code: fewer than the 53 that a float64 holds, and a whole number of hexadecimal digits. */
export const CODE_BITS = 52;

/**
 * A text as a whole number from 0 to 2^52 - 1, so that aggregates of numbers can keep texts, as ids of items are:
 * {@link codeOf} of it. Null stays null. Two given texts have the same code with a probability of 2^-52; among a million the
 * probability that any two have is about 1e-4. It is a float64: a model's input, a float32, does not tell codes apart.
 *
 * @throws TypeError for the value of an aggregate, of whose text only a hash is known: aggregate the code instead.
 * @example
 * const recent = features('recent', { from: views, key: 'userId' }, (v) => ({ items: lastK(code(v.itemId), 50).over('30d') }));
 */
export function code(text: Expression<'string'>): Expression<'number'> {
  if (beyondEvent(text.node) !== undefined) {
    throw new TypeError("code() is of an event's text: write last(code(...)) for code(last(...).value())");
  }
  return new Expression({ op: 'call', operator: 'code', type: 'number', arguments: [text.node] });
}

/** The code of a text: the first 52 bits of the SHA-256 (FIPS 180-4) of its UTF-8, most significant first. */
export function codeOf(text: string): number {
  const digest = hash('sha256', text, 'buffer');
  // 48 bits and the upper half of the next byte.
  return digest.readUIntBE(0, 6) * 16 + (digest.readUInt8(6) >>> 4);
}
