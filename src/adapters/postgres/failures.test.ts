import { describe, expect, it } from 'vitest';
import { PlatformError } from '../../contract/errors.ts';
import { isRefusal, isTransient, translate } from './failures.ts';

function failure(code: string | undefined, message = 'text of the server'): Error {
  return Object.assign(new Error(message), code === undefined ? {} : { code });
}

describe('failures', () => {
  it.each([
    ['53100', 'STORAGE_FULL'],
    ['53300', 'UNAVAILABLE'],
    ['57P01', 'UNAVAILABLE'],
    ['57P03', 'UNAVAILABLE'],
    ['08006', 'UNAVAILABLE'],
    ['25006', 'UNAVAILABLE'],
    ['57014', 'DEADLINE_EXCEEDED'],
    ['40001', 'CONFLICT'],
    ['40P01', 'CONFLICT'],
    ['23505', 'CONFLICT'],
    ['28P01', 'CONFIGURATION'],
    ['ECONNREFUSED', 'UNAVAILABLE'],
    ['ECONNRESET', 'UNAVAILABLE'],
  ])('%s becomes %s', (code, expected) => {
    const error = failure(code);
    expect(translate(error)).toMatchObject({ code: expected, cause: error });
  });

  it.each([
    'Connection terminated unexpectedly',
    'timeout exceeded when trying to connect',
    'Query read timeout',
  ])('knows a lost connection by its text: %s', (text) =>
    expect(translate(failure(undefined, text))).toMatchObject({ code: 'UNAVAILABLE' }),
  );

  it('leaves mistakes and coded errors as they are', () => {
    for (const error of [failure('42601'), new TypeError('x'), 'text', new PlatformError('FENCED', 'x')]) {
      expect(translate(error)).toBe(error);
    }
  });

  it('knows which errors end a connection and which transactions may be tried again', () => {
    expect(isRefusal(failure('23505'))).toBe(true);
    expect(isRefusal(translate(failure('53100')))).toBe(true);
    for (const code of ['57P01', '08006', 'ECONNRESET', undefined])
      expect(isRefusal(failure(code))).toBe(false);
    expect(isTransient(translate(failure('40P01')))).toBe(true);
    expect(isTransient(failure('23505'))).toBe(false);
  });
});
