import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { NumberParameter, SearchSpace } from './space.ts';
import { readSpace } from './space.ts';
import { fromUnit, readValues, toUnit } from './values.ts';

const rate = { name: 'rate', kind: 'log-real', least: 0.01, most: 1 } as const;
const growth = { name: 'growth', kind: 'choice', options: ['depth', 'leaf'] } as const;
const leaves = {
  name: 'leaves',
  kind: 'whole',
  least: 2,
  most: 9,
  when: { parameter: 'growth', is: ['leaf'] },
} as const;
const space: SearchSpace = [rate, growth, leaves];

describe('readSpace', () => {
  it('gives back a sound space, also by way of JSON', () => {
    expect(readSpace(JSON.parse(JSON.stringify(space)))).toEqual(space);
  });

  const unsound: readonly (readonly [unknown, RegExp])[] = [
    [{}, /list of 1 to 100 parameters/],
    [[], /list of 1 to 100 parameters/],
    [[7], /Parameter 0 must be an object, not 7/],
    [[{ ...rate, name: '__proto__' }], /Parameter 0 must have a name such as learningRate, not __proto__/],
    [[rate, rate], /Parameter rate is declared twice/],
    [[{ ...rate, kind: 'log' }], /Parameter rate must have the kind .* not log/],
    [[{ ...rate, least: 0 }], /rate: least of a log-real must be above 0, not 0/],
    [[{ ...rate, most: 0.01 }], /rate: least 0.01 must be below most 0.01/],
    [[{ ...rate, most: '1' }], /rate: most must be a finite number, not 1/],
    [[{ ...rate, most: undefined }], /rate: most must be a finite number, not undefined/],
    [[{ ...rate, step: 1 }], /rate has the unknown field step/],
    [[{ name: 'x', kind: 'real', least: -1.7e308, most: 1.7e308 }], /too wide/],
    [[growth, { ...leaves, least: 2.5 }], /leaves: least must be a whole number, not 2.5/],
    [[{ ...growth, options: [] }], /1 to 1000 options/],
    [[{ ...growth, options: ['a', 'a'] }], /growth has an option twice/],
    [[{ ...growth, options: [null] }], /an option must be a text, finite number or truth value, not null/],
    [[leaves, growth], /leaves depends on growth, which is no choice declared before it/],
    [[rate, { ...leaves, when: { parameter: 'rate', is: [1] } }], /depends on rate, which is no choice/],
    [[growth, { ...leaves, when: { parameter: 'growth', is: ['x'] } }], /growth being x, which is no option/],
    [[growth, { ...leaves, when: { parameter: 'growth', is: [] } }], /list of options of growth/],
  ];
  it.each(unsound)('refuses %j', (given, message) => {
    expect(() => readSpace(given)).toThrow(RangeError);
    expect(() => readSpace(given)).toThrow(message);
  });
});

describe('values', () => {
  it('wants exactly the active parameters', () => {
    const read = (values: unknown): unknown => readValues(space, values, 'It');
    expect(read({ rate: 0.1, growth: 'depth' })).toEqual({ rate: 0.1, growth: 'depth' });
    expect(() => read({ rate: 0.1, growth: 'depth', leaves: 3 })).toThrow('It: leaves is no parameter');
    expect(() => read({ rate: 0.1, growth: 'leaf' })).toThrow(
      'It: undefined is no value of the parameter leaves',
    );
    expect(() => read({ rate: 2, growth: 'depth' })).toThrow('It: 2 is no value of the parameter rate');
    expect(() => read({ rate: 0.1, growth: 'leaf', leaves: 2.5 })).toThrow(/2.5 is no value/);
  });

  it('maps [0, 1] onto the range and back', () => {
    const parameters: readonly NumberParameter[] = [
      rate,
      { name: 'a', kind: 'real', least: -3, most: 7 },
      { name: 'b', kind: 'whole', least: -3, most: 3 },
      { name: 'c', kind: 'log-whole', least: 1, most: 5000 },
    ];
    fc.assert(
      fc.property(
        fc.constantFrom(...parameters),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (parameter, unit) => {
          const value = fromUnit(parameter, unit) as number;
          expect(value).toBeGreaterThanOrEqual(parameter.least);
          expect(value).toBeLessThanOrEqual(parameter.most);
          const again = fromUnit(parameter, toUnit(parameter, value)) as number;
          expect(Math.abs(again - value)).toBeLessThanOrEqual(1e-12 * Math.abs(value));
          if (parameter.kind.endsWith('whole')) expect(again).toBe(value);
        },
      ),
    );
  });

  it('gives every whole number the same share', () => {
    const counts = new Map<unknown, number>();
    for (let step = 0; step < 8000; step += 1) {
      const value = fromUnit(leaves, (step + 0.5) / 8000);
      counts.set(value, (counts.get(value) ?? 0) + 1);
    }
    expect([...counts.entries()]).toEqual([2, 3, 4, 5, 6, 7, 8, 9].map((value) => [value, 1000]));
  });
});
