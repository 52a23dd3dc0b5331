import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  boolean,
  embedding,
  id,
  integer,
  key,
  money,
  number,
  source,
  text,
  timestamp,
} from '../define/index.ts';
import { compileEventReader, compileRecordReader, type QuarantineCode } from './event.ts';

const orders = source('orders', {
  id: 'orderId',
  time: 'at',
  key: 'customerId',
  fields: {
    orderId: id(),
    at: timestamp(),
    customerId: key({ personal: 'pseudonym' }),
    shopId: key({ optional: true }),
    total: money('EUR', { optional: true }),
    yen: money('JPY', { optional: true, decimals: 0 }),
    weight: number({ optional: true, minimum: -10, maximum: 1e6 }),
    ratio: number({ optional: true }),
    pieces: integer({ optional: true }),
    gift: boolean({ optional: true }),
    note: text({ optional: true, lengthMax: 10 }),
    iban: text({ optional: true, personal: 'sensitive' }),
    due: timestamp({ optional: true }),
    taste: embedding(3, { optional: true }),
  },
});
const read = compileEventReader(orders);
const good = { orderId: 'o-1', at: '2024-05-06T07:08:09.010Z', customerId: 'c-1' };

/** What becomes of a field's value: the value itself, or the code of the rejection. */
function outcome(field: string, value: unknown): unknown {
  const result = read({ ...good, [field]: value });
  if ('event' in result) return result.event.values[field];
  expect(result.rejection.field).toBe(field);
  return result.rejection.code;
}

describe('an event that keeps its contract', () => {
  it('has id, time and key, and null for every field that is absent', () => {
    expect(read({ ...good, total: 12.5, shopId: null })).toEqual({
      event: {
        id: 'o-1',
        time: Date.UTC(2024, 4, 6, 7, 8, 9, 10),
        key: 'c-1',
        values: {
          orderId: 'o-1',
          at: Date.UTC(2024, 4, 6, 7, 8, 9, 10),
          customerId: 'c-1',
          shopId: null,
          total: 1250,
          yen: null,
          weight: null,
          ratio: null,
          pieces: null,
          gift: null,
          note: null,
          iban: null,
          due: null,
          taste: null,
        },
      },
    });
  });

  const values: readonly (readonly [field: string, came: unknown, kept: unknown])[] = [
    ['shopId', 'x'.repeat(128), 'x'.repeat(128)],
    ['taste', [1, -0, 0.1], '[1,0,0.1]'],
    ['taste', '[1, -2.50, 1e-7]', '[1,-2.5,1e-7]'],
    ['shopId', 7, '7'],
    ['shopId', -0, '0'],
    ['shopId', 9_007_199_254_740_991, '9007199254740991'],
    ['total', 12.34, 1234],
    ['total', '12.34', 1234],
    ['total', '12.340', 1234],
    ['total', '007', 700],
    ['total', -0.01, -1],
    ['total', '-0', 0],
    ['total', 0.07, 7],
    ['total', 9_999_999_999_999.99, 999_999_999_999_999],
    ['total', '90071992547409.91', 9_007_199_254_740_991],
    ['total', '90071992547409.90', 9_007_199_254_740_990],
    ['yen', 9_007_199_254_740_991, 9_007_199_254_740_991],
    ['yen', '12.0', 12],
    ['weight', -10, -10],
    ['weight', -0, 0],
    ['ratio', 1e308, 1e308],
    ['pieces', -9_007_199_254_740_991, -9_007_199_254_740_991],
    ['pieces', 1e3, 1000],
    ['gift', false, false],
    ['note', '', ''],
    ['note', '0123456789', '0123456789'],
    ['due', 0, 0],
    ['due', -0, 0],
    ['due', '2024-02-29T23:59:59.999999999Z', Date.UTC(2024, 1, 29, 23, 59, 59, 999)],
    ['due', '2024-01-01T00:00+05:30', Date.UTC(2023, 11, 31, 18, 30)],
    ['due', '2024-01-01T24:00:00Z', Date.UTC(2024, 0, 2)],
    ['due', '1900-01-01T00:00:00Z', -2_208_988_800_000],
  ];
  it.each(values)('%s %j becomes %j', (field, came, kept) => {
    expect(Object.is(outcome(field, came), kept)).toBe(true);
  });
});

describe('a record that breaks its contract', () => {
  const values: readonly (readonly [field: string, came: unknown, code: QuarantineCode])[] = [
    ['taste', [1, 2], 'FIELD_RANGE'],
    ['taste', [1, 2, 3, 4], 'FIELD_RANGE'],
    ['taste', [1, 2, null], 'FIELD_TYPE'],
    ['taste', [1, 2, '3'], 'FIELD_TYPE'],
    ['taste', [1, 2, Number.POSITIVE_INFINITY], 'FIELD_RANGE'],
    ['taste', '[1, 2, 1e999]', 'FIELD_RANGE'],
    ['taste', '[1, 2', 'FIELD_TYPE'],
    ['taste', 'x'.repeat(10_000), 'FIELD_TYPE'],
    ['taste', 7, 'FIELD_TYPE'],
    ['orderId', '', 'FIELD_RANGE'],
    ['orderId', null, 'FIELD_MISSING'],
    ['orderId', undefined, 'FIELD_MISSING'],
    ['orderId', true, 'FIELD_TYPE'],
    ['orderId', {}, 'FIELD_TYPE'],
    ['shopId', 'x'.repeat(129), 'FIELD_RANGE'],
    ['shopId', 1.5, 'FIELD_RANGE'],
    ['shopId', JSON.parse('9007199254740993'), 'FIELD_RANGE'],
    ['shopId', 'a\u0000', 'FIELD_RANGE'],
    ['shopId', 'a\ud800', 'FIELD_RANGE'],
    ['total', 12.345, 'FIELD_RANGE'],
    ['total', '12.345', 'FIELD_RANGE'],
    ['total', '90071992547409.92', 'FIELD_RANGE'],
    ['total', 90_071_992_547_409.9, 'FIELD_RANGE'],
    ['total', '1e3', 'FIELD_TYPE'],
    ['total', ' 1', 'FIELD_TYPE'],
    ['total', '1.', 'FIELD_TYPE'],
    ['total', '1'.repeat(65), 'FIELD_TYPE'],
    ['total', '1'.repeat(64), 'FIELD_RANGE'],
    ['total', Number.NaN, 'FIELD_RANGE'],
    ['total', [1], 'FIELD_TYPE'],
    ['yen', 0.5, 'FIELD_RANGE'],
    ['weight', -10.1, 'FIELD_RANGE'],
    ['weight', 1e6 + 1, 'FIELD_RANGE'],
    ['weight', '1', 'FIELD_TYPE'],
    ['ratio', Number.NaN, 'FIELD_TYPE'],
    ['ratio', JSON.parse('1e999'), 'FIELD_RANGE'],
    ['pieces', 0.5, 'FIELD_TYPE'],
    ['pieces', JSON.parse('9007199254740993'), 'FIELD_RANGE'],
    ['pieces', JSON.parse('1e999'), 'FIELD_RANGE'],
    ['gift', 1, 'FIELD_TYPE'],
    ['gift', 'true', 'FIELD_TYPE'],
    ['note', '0123456789x', 'FIELD_RANGE'],
    ['note', '\u0000', 'FIELD_RANGE'],
    ['note', 5, 'FIELD_TYPE'],
    ['due', 1.5, 'FIELD_TYPE'],
    ['due', '2024-01-01', 'FIELD_TYPE'],
    ['due', '2024-01-01T00:00:00', 'FIELD_TYPE'],
    ['due', '2024-01-01 00:00:00Z', 'FIELD_TYPE'],
    ['due', '2024-13-01T00:00:00Z', 'FIELD_TYPE'],
    ['due', '2024-01-01T25:00:00Z', 'FIELD_TYPE'],
    ['due', '2023-02-29T00:00:00Z', 'FIELD_RANGE'],
    ['due', '1900-02-29T00:00:00Z', 'FIELD_RANGE'],
    ['due', '2024-04-31T00:00:00Z', 'FIELD_RANGE'],
    ['due', '1899-12-31T23:59:59Z', 'FIELD_RANGE'],
    ['due', 1_700_000_000_000_000, 'FIELD_RANGE'],
  ];
  it.each(values)('%s %j is %s', (field, came, code) => {
    expect(outcome(field, came)).toBe(code);
  });

  it('is an object with no field that the source does not have', () => {
    for (const record of [null, undefined, 1, 'a', true, [], [good]]) {
      expect(read(record)).toMatchObject({ rejection: { code: 'NOT_AN_OBJECT' } });
    }
    expect(read({ ...good, extra: null })).toEqual({
      rejection: { code: 'FIELD_UNKNOWN', field: 'extra', reason: "'orders' has no field 'extra'" },
    });
    const polluted: unknown = JSON.parse(`${JSON.stringify(good).slice(0, -1)},"__proto__":{"gift":true}}`);
    expect(read(polluted)).toMatchObject({ rejection: { code: 'FIELD_UNKNOWN', field: '__proto__' } });
    // What an object inherits is not its own.
    expect(read(Object.create(good))).toMatchObject({
      rejection: { code: 'FIELD_MISSING', field: 'orderId' },
    });
  });

  it('says what came, but neither values of personal fields nor whole structures', () => {
    const reason = (field: string, value: unknown): string => {
      const result = read({ ...good, [field]: value });
      return 'rejection' in result ? result.rejection.reason : '';
    };
    expect(reason('gift', 'perhaps')).toBe(`field 'gift': expected true or false; got "perhaps"`);
    expect(reason('gift', 'x'.repeat(100))).toMatch(/got "x{57}\.\.\."$/);
    expect(reason('iban', 'DE02'.repeat(300))).toMatch(/got a string$/);
    expect(reason('iban', 4711)).toMatch(/got a number$/);
    expect(reason('gift', { secret: 1 })).toMatch(/got an object$/);
    // Depth and length of what came cost nothing.
    let deep: unknown[] = [];
    for (let depth = 0; depth < 100_000; depth += 1) deep = [deep];
    expect(reason('gift', deep)).toMatch(/got an array$/);
  });

  it('has a reason that every store can keep', () => {
    const result = read({ ...good, ['a\u0000\ud800\u001b']: 1 });
    expect(result).toMatchObject({ rejection: { code: 'FIELD_UNKNOWN', field: 'a\ufffd\ufffd\ufffd' } });
  });
});

describe('whatever comes', () => {
  it('is an event of storable values or a rejection that names a field of the record', () => {
    const names = Object.keys(orders.fields);
    const record = fc.dictionary(
      fc.oneof(fc.constantFrom(...names), fc.string()),
      fc.anything({ withBigInt: false }),
    );
    fc.assert(
      fc.property(record, fc.boolean(), (some, complete) => {
        const result = read(complete ? { ...some, ...good } : some);
        if ('rejection' in result) {
          expect(result.rejection.reason.isWellFormed()).toBe(true);
          return;
        }
        expect(Object.keys(result.event.values)).toEqual(names);
        for (const value of Object.values(result.event.values)) {
          expect(value === null || Number.isFinite(value) || typeof value !== 'number').toBe(true);
          expect(Object.is(value, -0)).toBe(false);
        }
      }),
    );
  });

  it('reads every amount of money exactly, as a string up to 2^53 and as a number up to 15 digits', () => {
    const decimals = fc.integer({ min: 0, max: 6 });
    fc.assert(
      fc.property(decimals, fc.maxSafeInteger(), (places, minor) => {
        const reader = compileEventReader(
          source('s', {
            id: 'a',
            time: 't',
            key: 'a',
            fields: { a: id(), t: timestamp(), m: money('XXX', { decimals: places }) },
          }),
        );
        const digits = String(Math.abs(minor)).padStart(places + 1, '0');
        const whole = digits.slice(0, digits.length - places);
        const amount = (minor < 0 ? '-' : '') + whole + (places === 0 ? '' : `.${digits.slice(-places)}`);
        const valueOf = (m: unknown): unknown => {
          const result = reader({ a: 'a', t: 0, m });
          return 'event' in result ? result.event.values['m'] : result.rejection.code;
        };
        expect(valueOf(amount)).toBe(minor);
        const asNumber = valueOf(JSON.parse(amount));
        expect(asNumber).toBe(places === 0 || Math.abs(minor) <= 1e15 ? minor : 'FIELD_RANGE');
      }),
      { numRuns: 500 },
    );
  });

  it('reads every instant back', () => {
    const noInvalid = {
      min: new Date('1900-01-01T00:00:00Z'),
      max: new Date('2199-12-31T23:59:59Z'),
      noInvalidDate: true,
    };
    fc.assert(
      fc.property(fc.date(noInvalid), (date) => {
        expect(outcome('due', date.toISOString())).toBe(date.getTime());
        expect(outcome('due', date.getTime())).toBe(date.getTime());
      }),
    );
  });
});

describe('a record that corrects or deletes an event', () => {
  const definition = {
    id: 'orderId',
    time: 'at',
    key: 'customerId',
    fields: {
      orderId: id(),
      at: timestamp(),
      customerId: key({ personal: 'pseudonym' }),
      total: money('EUR'),
    },
  } as const;
  const corrected = compileRecordReader(source('orders', { ...definition, corrections: true }));
  const plain = compileRecordReader(source('orders', definition));
  const order = { orderId: 'o-1', at: 1_714_557_600_000, customerId: 'c-1', total: 12.5 };
  const rejection = (result: ReturnType<typeof plain>): unknown =>
    'rejection' in result ? [result.rejection.code, result.rejection.field] : result.event;

  it('is an event with a revision, or an id, a key and nothing else', () => {
    const values = { orderId: 'o-1', at: 1_714_557_600_000, customerId: 'c-1', total: 1_250 };
    const event = { id: 'o-1', time: values.at, key: 'c-1', values };
    expect(corrected(order)).toEqual({ event });
    expect(corrected({ ...order, _revision: 0, _deleted: false })).toEqual({ event });
    expect(corrected({ ...order, _revision: null, _deleted: null })).toEqual({ event });
    expect(corrected({ ...order, _revision: 3 })).toEqual({ event: { ...event, revision: 3 } });
    const gone = {
      event: {
        id: 'o-1',
        time: Number.NEGATIVE_INFINITY,
        key: 'c-1',
        values: { orderId: 'o-1', at: null, customerId: 'c-1', total: null },
        revision: 4,
        deleted: true,
      },
    };
    const deletion = { orderId: 'o-1', customerId: 'c-1', _revision: 4, _deleted: true };
    expect(corrected(deletion)).toEqual(gone);
    // The row as it was may stand beside it, however broken it is by now.
    expect(corrected({ ...order, total: 'gone', ...deletion })).toEqual(gone);
  });

  it.each([
    [{ _revision: 1.5 }, 'FIELD_RANGE', '_revision'],
    [{ _revision: -1 }, 'FIELD_RANGE', '_revision'],
    [{ _revision: 2 ** 53 }, 'FIELD_RANGE', '_revision'],
    [{ _revision: '7' }, 'FIELD_TYPE', '_revision'],
    [{ _deleted: 'yes', _revision: 1 }, 'FIELD_TYPE', '_deleted'],
    [{ _deleted: true }, 'FIELD_MISSING', '_revision'],
    [{ _deleted: true, _revision: 0 }, 'FIELD_RANGE', '_revision'],
    [{ _deleted: true, _revision: 1, orderId: null }, 'FIELD_MISSING', 'orderId'],
    [{ _deleted: true, _revision: 1, customerId: true }, 'FIELD_TYPE', 'customerId'],
    [{ _deleted: true, _revision: 1, colour: 'red' }, 'FIELD_UNKNOWN', 'colour'],
    [{ _revision: 1, total: 'much' }, 'FIELD_TYPE', 'total'],
    [{ _revision: 1, _operation: 'delete' }, 'FIELD_UNKNOWN', '_operation'],
  ])('goes to quarantine with %j', (change, code, field) => {
    expect(rejection(corrected({ ...order, ...change }))).toEqual([code, field]);
  });

  it('is refused by a source that takes none, and as an event to decide on', () => {
    expect(rejection(plain({ ...order, _revision: 1 }))).toEqual(['NO_CORRECTIONS', '_revision']);
    expect(rejection(plain({ ...order, _deleted: true }))).toEqual(['NO_CORRECTIONS', '_deleted']);
    expect(rejection(plain({ ...order, colour: 'red' }))).toEqual(['FIELD_UNKNOWN', 'colour']);
    const asked = compileEventReader(source('orders', { ...definition, corrections: true }));
    expect(rejection(asked({ ...order, _revision: 1 }))).toEqual(['FIELD_UNKNOWN', '_revision']);
  });
});
