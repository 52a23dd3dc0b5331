import { describe, expect, it } from 'vitest';
import { readyUrl } from './product-process.ts';

describe('readyUrl', () => {
  it('knows the line that says where the product is', () => {
    expect(readyUrl('{"url":"http://127.0.0.1:8080/","pid":1}')).toBe('http://127.0.0.1:8080');
    for (const line of ['', 'ready', '[]', 'null', '{"msg":"x"}', '{"url":1}'])
      expect(readyUrl(line)).toBe(undefined);
  });
});
