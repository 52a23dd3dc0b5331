import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileEventReader, type Event } from '../../contract/index.ts';
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
} from '../../define/index.ts';
import type { RecordBatch } from '../../runtime/index.ts';
import { RecordReader } from './record-reader.ts';

const readings = source('readings', {
  id: 'readingId',
  time: 'at',
  key: 'meterId',
  fields: {
    readingId: id(),
    at: timestamp(),
    meterId: key(),
    price: money('EUR'),
    level: number({ minimum: -1e9, maximum: 1e9 }),
    pulses: integer({ optional: true }),
    isTest: boolean({ optional: true }),
    note: text({ optional: true }),
    shape: embedding(2, { optional: true }),
  },
});
const contract = compileEventReader(readings);
const reader = new RecordReader(readings, contract);

/** As any record is read: parsed, and then checked. */
function parsed(record: string | Uint8Array): Event | undefined {
  try {
    const result = contract(JSON.parse(Buffer.from(record).toString('utf8')));
    return 'event' in result ? result.event : undefined;
  } catch {
    return undefined;
  }
}

function batchOf(records: readonly Uint8Array[], hasBody: boolean): RecordBatch {
  const bytes = Buffer.concat(records);
  const starts = new Uint32Array(records.length + 1);
  for (const [index, record] of records.entries()) starts[index + 1] = (starts[index] ?? 0) + record.length;
  return {
    partition: 0,
    base: 0,
    count: records.length,
    appendedAt: 0,
    record: (index) => bytes.subarray(starts[index], starts[index + 1]),
    ...(hasBody ? { body: { bytes, starts } } : {}),
  };
}

function read(record: string | Uint8Array): Event | undefined {
  return reader.read(batchOf([Buffer.from(record)], true), 0);
}

const numeral = fc.oneof(
  fc.integer({ min: -1_000, max: 1_000 }).map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.tuple(fc.integer(), fc.nat(99)).map(([whole, part]) => `${String(whole)}.${String(part)}`),
  fc.constantFrom(
    '0',
    '-0',
    '-0.0',
    '00',
    '01',
    '1.',
    '.5',
    '1e3',
    '1E-2',
    '-',
    '+1',
    '0.1',
    '1.10',
    '0.30000000000000004',
  ),
  fc.constantFrom(
    '123456789012345',
    '1234567890123456',
    '9007199254740993',
    '0.00000000000001',
    '99999999999999.9',
  ),
);
const word = fc.oneof(
  fc.constantFrom(
    'm1',
    'meter-1',
    'a b',
    '',
    'Zürich',
    '客户',
    '\u{1f600}',
    'a"b',
    'a\\b',
    'a\nb',
    '\0',
    '\ud800',
  ),
  fc.string({ maxLength: 20 }),
  fc.string({ unit: 'binary', maxLength: 8 }),
);
const value = fc.oneof(
  { weight: 4, arbitrary: numeral },
  { weight: 4, arbitrary: word.map((item) => JSON.stringify(item)) },
  fc.constantFrom(
    'true',
    'false',
    'null',
    'nul',
    'trues',
    '[1,2]',
    '"[1,2]"',
    '{}',
    '"2026-01-02T03:04:05Z"',
    '1767225600000',
  ),
);
/** A field and what it should be given, mostly. */
const good: Readonly<Record<string, fc.Arbitrary<string>>> = {
  readingId: fc.nat().map((serial) => `"r${String(serial)}"`),
  at: fc.integer({ min: 1.7e12, max: 1.8e12 }).map(String),
  meterId: fc.constantFrom('"m1"', '"m2"', '3'),
  price: fc.constantFrom('1', '2.5', '-3.25', '"4.75"'),
  level: numeral,
  pulses: fc.constantFrom('0', '7', 'null'),
  isTest: fc.constantFrom('true', 'false', 'null'),
  note: word.map((item) => JSON.stringify(item)),
  shape: fc.constantFrom('[1,2]', '"[1,2]"', 'null'),
};
const blank = fc.constantFrom('', '', '', ' ', '  ', '\n', '\t');

/** Records as producers write them, and as nobody should: other orders, blanks, fields twice, strange ones, broken ends. */
const record = fc
  .record({
    fields: fc.tuple(
      ...Object.entries(good).map(([name, usual]) =>
        fc.tuple(
          fc.oneof(
            { weight: 30, arbitrary: fc.constant(name) },
            fc.constantFrom('other', 'readingId', 'at2'),
          ),
          fc.oneof({ weight: 9, arbitrary: usual }, value),
          fc.nat(9),
        ),
      ),
    ),
    isMixed: fc.boolean(),
    blanks: fc.array(blank, { minLength: 40, maxLength: 40 }),
    end: fc.oneof(
      { weight: 9, arbitrary: fc.constant('}') },
      fc.constantFrom('', '}}', '},', '}x', '}\n', ',}'),
    ),
  })
  .map(({ fields, isMixed, blanks, end }) => {
    const kept = fields.filter(([, , dice]) => dice > 0);
    if (isMixed) kept.sort(([, , left], [, , right]) => left - right);
    let at = 0;
    const gap = (): string => blanks[at++ % blanks.length] ?? '';
    const written = kept.map(([name, item]) => `${gap()}"${name}"${gap()}:${gap()}${item}${gap()}`);
    return `{${written.join(',')}${end}`;
  });

describe('a record of the log', () => {
  it('is read as its contract reads it, however it is written', () => {
    let plain = 0;
    let events = 0;
    fc.assert(
      fc.property(record, (made) => {
        const expected = parsed(made);
        const found = read(made);
        expect(found).toEqual(expected);
        // Equal by every bit: -0 is no 0.
        for (const [name, item] of Object.entries(found?.values ?? {}))
          expect(Object.is(item, expected?.values[name])).toBe(true);
        if (expected !== undefined) events += 1;
        else plain += 1;
      }),
      { numRuns: 5_000 },
    );
    // Of both kinds there are many: neither way of reading is left out.
    expect(Math.min(plain, events)).toBeGreaterThan(300);
  });

  it('is read so whatever single character of it is changed', () => {
    const whole =
      '{"readingId":"r-1","at":1767225600000,"meterId":"m 1","price":12.50,"level":-0.5,"isTest":true,"note":"x"}';
    expect(read(whole)).toEqual(parsed(whole));
    expect(read(whole)?.values).toMatchObject({ price: 1_250, level: -0.5, isTest: true, pulses: null });
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.integer({ min: 0, max: 255 }), fc.nat(2), (at, byte, how) => {
        const bytes = Buffer.from(whole);
        const changed = Buffer.concat([
          bytes.subarray(0, at),
          how === 0 ? Buffer.alloc(0) : Buffer.from([byte]),
          bytes.subarray(how === 2 ? at : at + 1),
        ]);
        expect(read(changed)).toEqual(parsed(changed));
      }),
      { numRuns: 5_000 },
    );
  });

  it('keeps nothing of the one before, and is found in its batch with and without a body', () => {
    const first =
      '{"readingId":"a","at":1767225600000,"meterId":"m","price":1,"level":1,"pulses":5,"note":"n"}';
    const second = '{"readingId":"b","at":1767225600001,"meterId":"m","price":2,"level":2}';
    for (const hasBody of [true, false]) {
      const batch = batchOf([Buffer.from(first), Buffer.from(second)], hasBody);
      const events = [reader.read(batch, 0), reader.read(batch, 1)];
      expect(events).toEqual([parsed(first), parsed(second)]);
      expect(events[1]?.values).toMatchObject({ pulses: null, note: null });
    }
  });
});
