import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { id, integer, key, money, number, source, text, timestamp, boolean } from '../../define/index.ts';
import { type Row, RowCutter } from './csv.ts';
import { compileRowFormat } from './csv-record.ts';
import { cutUp } from './test-host.ts';

function rowsOf(
  body: string | Buffer,
  sizes: readonly number[] = [],
  rowBytesMax = 1_000,
): (string[] | [string, string, number])[] {
  const cutter = new RowCutter(rowBytesMax);
  const found: (string[] | [string, string, number])[] = [];
  const takeAll = (): void => {
    for (let row: Row | undefined = cutter.next(); row !== undefined; row = cutter.next()) {
      found.push(row.broken === undefined ? [...row.cells] : [row.broken, row.bytes.toString(), row.size]);
    }
  };
  for (const piece of cutUp(Buffer.from(body), sizes)) {
    cutter.push(piece);
    takeAll();
  }
  cutter.end();
  takeAll();
  return found;
}

/** Cut at every byte, at the ends of lines, and not at all: all must give the same. */
function everyWay(body: string, rowBytesMax?: number): ReturnType<typeof rowsOf> {
  const whole = rowsOf(body, [], rowBytesMax);
  for (const size of [1, 2, 3, 5]) {
    const sizes = Array.from({ length: Math.ceil(body.length / size) }, () => size);
    expect(rowsOf(body, sizes, rowBytesMax)).toEqual(whole);
  }
  return whole;
}

describe('RowCutter', () => {
  it('reads what csv-parse reads', () => {
    const cell = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r\n', ' ', 'ü', '\u{1f600}') });
    const table = fc.array(fc.array(cell, { minLength: 2, maxLength: 4 }));
    fc.assert(
      fc.property(
        table,
        fc.boolean(),
        fc.constantFrom('\n', '\r\n'),
        fc.array(fc.nat(20)),
        (rows, all, end, sizes) => {
          const quote = (some: string): string =>
            all || /[",\r\n]/.test(some) ? `"${some.replaceAll('"', '""')}"` : some;
          const body = rows.map((row) => row.map(quote).join(',')).join(end);
          const expected = parse(body, {
            relax_column_count: true,
            skip_empty_lines: true,
            record_delimiter: end,
          });
          expect(expected).toEqual(rows);
          expect(rowsOf(body, sizes)).toEqual(rows);
        },
      ),
    );
  });

  it('ends on any bytes, and gives the same however they come', () => {
    const some = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r'), maxLength: 40 });
    fc.assert(
      fc.property(some, (body) => void everyWay(body, 12)),
      { numRuns: 500 },
    );
  });

  it('skips blank lines, and needs no end of line at the end', () => {
    expect(everyWay('a,b\n\n1,2\r\n\r\n')).toEqual([
      ['a', 'b'],
      ['1', '2'],
    ]);
    expect(everyWay('')).toEqual([]);
    expect(everyWay('a,')).toEqual([['a', '']]);
    expect(everyWay(',\n"",""')).toEqual([
      ['', ''],
      ['', ''],
    ]);
  });

  it('gives back the line of a broken quote and goes on with the next line', () => {
    const good = [
      ['5', '6'],
      ['7', 'x,y'],
    ];
    for (const line of ['3,5" pipe', '"3"x,4', '"3,4', '3,"4', '3,"4""']) {
      expect(everyWay(`1,2\n${line}\n5,6\n7,"x,y"\n`)).toEqual([
        ['1', '2'],
        ['NOT_CSV', line, line.length],
        ...good,
      ]);
    }
    // Two broken rows whose quotes look like a pair across lines.
    expect(everyWay('"1,2\n3,"4\n5,6')).toEqual([
      ['NOT_CSV', '"1,2', 4],
      ['NOT_CSV', '3,"4', 4],
      ['5', '6'],
    ]);
  });

  it('lets go of a row that is too long', () => {
    expect(everyWay('1,2\n123456789,1\n3,4\n', 8)).toEqual([
      ['1', '2'],
      ['TOO_LARGE', '12345678', 11],
      ['3', '4'],
    ]);
    expect(everyWay('"1\n2\n3\n4\n5\n6",7\n3,4\n', 8)).toContainEqual(['3', '4']);
    expect(everyWay('12345678\r\n123456789\r\n"123456"\r\n"1234567"\r\n1', 8)).toEqual([
      ['12345678'],
      ['TOO_LARGE', '12345678', 10],
      ['123456'],
      ['TOO_LARGE', '"1234567', 10],
      ['1'],
    ]);
    expect(everyWay('123456789,1', 8)).toEqual([['TOO_LARGE', '12345678', 11]]);
  });

  it('reads a long file with a quote that is never closed in one go', () => {
    const body = `a,b\n"1,2\n${'3,4\n'.repeat(50_000)}`;
    const rows = rowsOf(
      body,
      Array.from({ length: 7 }, () => 32_768),
      65_536,
    );
    expect(rows.length).toBe(50_002);
    expect(rows[1]).toEqual(['NOT_CSV', '"1,2', 4]);
  });
});

describe('compileRowFormat', () => {
  const orders = source('orders', {
    id: 'orderId',
    time: 'at',
    key: 'orderId',
    fields: {
      orderId: id(),
      at: timestamp(),
      total: money('EUR'),
      pieces: integer(),
      weight: number(),
      gift: boolean(),
      shop: key(),
      note: text(),
    },
  });
  const record = (line: string, header = Object.keys(orders.fields)): unknown =>
    compileRowFormat(orders, header, 10).record(line.split(','));

  it('makes cells what the fields are', () => {
    expect(record('007,1700000000000, 1.50 ,3,-1.5e3,TRUE, a ,')).toEqual({
      orderId: '007',
      at: 1_700_000_000_000,
      total: '1.50',
      pieces: 3,
      weight: -1500,
      gift: true,
      shop: ' a ',
    });
  });

  it('leaves what does not look right for the contract to refuse', () => {
    const odd = 'x,2024-01-01T00:00:00Z,NaN,three,1e999,1,s,n';
    expect(record(odd)).toEqual({
      orderId: 'x',
      at: '2024-01-01T00:00:00Z',
      total: 'NaN',
      pieces: 'three',
      weight: '1e999',
      gift: '1',
      shop: 's',
      note: 'n',
    });
    expect(record('1,2', ['orderId', ' Other '])).toEqual({ orderId: '1', Other: '2' });
    expect(record('1,2', ['orderId', 'constructor'])).toEqual({ orderId: '1', constructor: '2' });
  });

  it('refuses a header by which no row can be read', () => {
    const refusal = (header: string[]): string => {
      try {
        compileRowFormat(orders, header, 3);
        return '';
      } catch (error) {
        return String(error);
      }
    };
    expect(refusal(['a', ''])).toMatch(/Column 2 of the CSV header has no name/);
    expect(refusal(['a', 'a'])).toMatch(/Column 2 of the CSV header 'a' comes twice/);
    expect(refusal(['__proto__'])).toMatch(/cannot be '__proto__'/);
    expect(refusal(['a', 'b', 'c', 'd'])).toMatch(/has 4 columns; at most 3/);
  });
});
