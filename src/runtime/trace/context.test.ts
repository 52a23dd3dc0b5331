import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readTraceparent, readTracestate, writeTraceparent } from './context.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

describe('traceparent', () => {
  it.each([
    ['sampled', `00-${TRACE}-${SPAN}-01`, true],
    ['not sampled', `00-${TRACE}-${SPAN}-00`, false],
    ['flags to come', `00-${TRACE}-${SPAN}-03`, true],
    ['a version to come', `01-${TRACE}-${SPAN}-01`, true],
    ['a version to come with more', `cc-${TRACE}-${SPAN}-01-what-the-future-brings`, true],
  ])('is read: %s', (_, header, sampled) => {
    expect(readTraceparent(header)).toEqual({ traceId: TRACE, spanId: SPAN, sampled });
  });

  it.each([
    ['nothing', undefined],
    ['no text', ['a']],
    ['too short', `00-${TRACE}-${SPAN}`],
    ['upper case', `00-${TRACE.toUpperCase()}-${SPAN}-01`],
    ['a trace of zeros', `00-${'0'.repeat(32)}-${SPAN}-01`],
    ['a span of zeros', `00-${TRACE}-${'0'.repeat(16)}-01`],
    ['the forbidden version', `ff-${TRACE}-${SPAN}-01`],
    ['more in version 00', `00-${TRACE}-${SPAN}-01-x`],
    ['more without a border', `01-${TRACE}-${SPAN}-01x`],
    ['two of them', `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`],
    ['spaces', ` 00-${TRACE}-${SPAN}-01`],
    ['a flag that is none', `00-${TRACE}-${SPAN}-0g`],
  ])('is none: %s', (_, header) => {
    expect(readTraceparent(header)).toBeUndefined();
  });

  it('comes back as it was written', () => {
    const hex = (length: number) =>
      fc
        .array(fc.integer({ min: 0, max: 15 }), { minLength: length, maxLength: length })
        .filter((digits) => digits.some((digit) => digit > 0))
        .map((digits) => digits.map((digit) => digit.toString(16)).join(''));
    fc.assert(
      fc.property(hex(32), hex(16), fc.boolean(), (traceId, spanId, sampled) => {
        const context = { traceId, spanId, sampled };
        expect(readTraceparent(writeTraceparent(context))).toEqual(context);
      }),
      { numRuns: 100, seed: 7 },
    );
  });
});

describe('tracestate', () => {
  it.each([
    ['vendor=value', 'vendor=value'],
    ['a=1 , b@c=2,', 'a=1,b@c=2'],
  ])('is passed on: %s', (header, passed) => {
    expect(readTracestate(header)).toBe(passed);
  });

  it.each([undefined, '', 'novalue', 'A=1', 'a=1,a=2', `a=${'x'.repeat(600)}`, 'a=1,\u00e4=2', 'a=b=c'])(
    'is dropped: %s',
    (header) => {
      expect(readTracestate(header)).toBeUndefined();
    },
  );
});
