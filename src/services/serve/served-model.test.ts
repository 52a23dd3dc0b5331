import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileEventReader } from '../../contract/index.ts';
import { boolean, id, integer, key, money, number, source, text, timestamp } from '../../define/index.ts';
import { encodeLogistic } from '../../ml/onnx/encode-logistic.ts';
import { loadModel } from '../../ml/onnx/load-model.ts';
import type { Objects } from '../../runtime/index.ts';
import { sampleOf } from './readiness.ts';
import { ModelCache, outcomeOf, ServedModel, servedValues } from './served-model.ts';

const bytes = encodeLogistic({
  kind: 'logistic',
  means: Float64Array.of(1, 2),
  scales: Float64Array.of(1, 2),
  coefficients: Float64Array.of(0.5, -0.25),
  intercept: 0.1,
  iterations: 1,
});

describe('ServedModel', () => {
  it('gives the same score for a vector and for its record', () => {
    const model = new ServedModel(loadModel(bytes));
    const value = fc.option(fc.double(), { nil: null });
    fc.assert(
      fc.property(value, value, (first, second) => {
        const values = servedValues([first, second]);
        const recorded = JSON.parse(JSON.stringify(values)) as (number | null)[];
        expect(recorded.every((item, index) => Object.is(item, values[index]))).toBe(true);
        expect(Object.is(model.predict(recorded), model.predict(values))).toBe(true);
      }),
    );
  });

  it('refuses a vector of another length and a score that is no probability', () => {
    const model = new ServedModel(loadModel(bytes));
    expect(() => model.predict([1])).toThrow(/2 values, the vector has 1/);
    const broken = new ServedModel({
      ...loadModel(bytes),
      inputCount: 1,
      predict: (_, __, output) => output.fill(Number.NaN),
    });
    expect(() => broken.predict([1])).toThrow(/no probability/);
  });

  it('decides the outcome from the threshold on', () => {
    const answer = { threshold: 0.5, outcomes: ['accept', 'review'] as const };
    expect([0.4999, 0.5, 1].map((score) => outcomeOf(score, answer))).toEqual(['accept', 'review', 'review']);
  });
});

describe('ModelCache', () => {
  it('loads at once what is asked for together, and keeps what was used last', async () => {
    const asked: string[] = [];
    const objects = {
      get: (digest: string) => {
        asked.push(digest);
        return digest === 'bad' ? Promise.reject(new Error('damaged')) : Promise.resolve(bytes);
      },
    } as Objects;
    const cache = new ModelCache(objects, 2);
    await Promise.all(['a', 'a', 'b'].map((digest) => cache.get(digest)));
    await cache.get('a');
    await cache.get('c');
    await cache.get('a');
    expect(asked).toEqual(['a', 'b', 'c']);
    await cache.get('b');
    expect(asked).toEqual(['a', 'b', 'c', 'b']);
    await expect(cache.get('bad')).rejects.toThrow('damaged');
    await expect(cache.get('bad')).rejects.toThrow('damaged');
    expect(asked.filter((digest) => digest === 'bad')).toHaveLength(2);
  });
});

describe('sampleOf', () => {
  it('makes an event that keeps the contract', () => {
    const wide = source('wide', {
      id: 'i',
      time: 't',
      key: 'k',
      fields: {
        i: id(),
        t: timestamp(),
        k: key(),
        m: money('EUR'),
        low: number({ minimum: 2.5 }),
        high: integer({ maximum: -3 }),
        free: number(),
        flag: boolean(),
        note: text(),
        none: key({ optional: true }),
      },
    });
    expect(compileEventReader(wide)(sampleOf(wide, 1_700_000_000_000.5))).toHaveProperty('event');
  });
});
