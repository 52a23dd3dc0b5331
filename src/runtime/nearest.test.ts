import { describe, expect, it } from 'vitest';
import { didYouMean, nearest } from './nearest.ts';

describe('nearest', () => {
  it.each([
    ['ingets', 'ingest'],
    ['Serv', 'serve'],
    ['trian', 'train'],
    ['xyz', undefined],
    ['', undefined],
    ['registration', undefined],
  ])('%s -> %s', (given, expected) => {
    expect(nearest(given, ['ingest', 'features', 'train', 'registry', 'serve'])).toBe(expected);
  });

  it('makes a sentence of it', () => {
    expect(didYouMean('trian', ['train'])).toBe(" Did you mean 'train'?");
    expect(didYouMean('abc', ['train'])).toBe('');
  });
});
