import { describe, expect, it } from 'vitest';
import { external, type ExternalTrainerOptions } from './index.ts';

describe('external', () => {
  it('has defaults, and keeps a copy of what it was given', () => {
    const parameters = { rounds: 3, nested: { list: [1, 'a', null, true] } };
    const trainer = external({ command: ['python3', 'train.py'], parameters });
    parameters.nested.list.push(2);
    expect(trainer).toEqual({
      kind: 'external',
      command: ['python3', 'train.py'],
      timeoutMs: 3_600_000,
      memoryMiB: 2_048,
      parameters: { rounds: 3, nested: { list: [1, 'a', null, true] } },
      files: [],
      digests: {},
    });
  });

  const command = ['train'];
  it.each<[string, ExternalTrainerOptions, RegExp]>([
    ['no words', { command: [] }, /1 to 64 words/],
    ['an empty program', { command: [' '] }, /word 1 .* not empty/],
    ['a NUL', { command: ['train', 'a\0'] }, /word 2 .* without NUL/],
    ['a long word', { command: ['train', 'a'.repeat(4_097)] }, /word 2 .* up to 4096/],
    ['a short time', { command, timeout: '10ms' }, /from 1000 to 86400000; got 10/],
    ['a long time', { command, timeout: '2d' }, /from 1000 to 86400000/],
    ['little memory', { command, memoryMiB: 1 }, /memoryMiB is a whole number from 64/],
    ['half a mebibyte', { command, memoryMiB: 64.5 }, /whole number/],
    ['what JSON does not hold', { command, parameters: { rate: Number.NaN } }, /parameters\.rate cannot be/],
    ['a date', { command, parameters: { at: new Date(0) as never } }, /parameters\.at cannot be/],
    ['too much', { command, parameters: { text: 'a'.repeat(70_000) } }, /at most 65536 bytes/],
    ['a path that leads out', { command, files: ['a/../../b'] }, /below the folder of the app/],
    ['a path from the root', { command, files: ['/etc/passwd'] }, /below the folder of the app/],
  ])('refuses %s', (_what, options, message) => {
    expect(() => external(options)).toThrow(TypeError);
    expect(() => external(options)).toThrow(message);
  });
});
