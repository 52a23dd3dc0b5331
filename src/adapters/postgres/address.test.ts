import { describe, expect, it } from 'vitest';
import { PlatformError } from '../../contract/errors.ts';
import { readAddress } from './address.ts';

describe('database address', () => {
  it('names one server or several, each with its own address', () => {
    expect(readAddress('postgres://u:p@db.example/app')).toEqual([
      {
        name: 'db.example:5432',
        hostname: 'db.example',
        port: 5432,
        url: 'postgres://u:p@db.example/app',
      },
    ]);
    const hosts = readAddress(
      'postgresql://u:p%40ss@one:5433,two,[fd00::3]:5434/app?target_session_attrs=read-write&sslmode=require',
    );
    expect(hosts.map(({ name, hostname, port }) => [name, hostname, port])).toEqual([
      ['one:5433', 'one', 5433],
      ['two:5432', 'two', 5432],
      ['[fd00::3]:5434', 'fd00::3', 5434],
    ]);
    expect(hosts.map(({ url }) => url)).toEqual([
      'postgresql://u:p%40ss@one:5433/app?sslmode=require',
      'postgresql://u:p%40ss@two/app?sslmode=require',
      'postgresql://u:p%40ss@[fd00::3]:5434/app?sslmode=require',
    ]);
  });

  it('leaves the host of a socket to the driver', () => {
    const url = 'postgres:///app?host=/run/postgresql';
    expect(readAddress(url)).toMatchObject([{ url }]);
  });

  it('says what is wrong and shows no password', () => {
    for (const url of [
      'nonsense',
      'mysql://u:hidden@one/app',
      'postgres://u:hidden@one,,two/app',
      'postgres://u:hidden@one:x/app',
      'postgres://u:hidden@one:99999/app',
      'postgres://u:hidden@one,two/app?target_session_attrs=any',
      `postgres://u:hidden@${'one,'.repeat(20)}two/app`,
    ]) {
      let error: unknown;
      try {
        readAddress(url);
      } catch (thrown) {
        error = thrown;
      }
      expect(PlatformError.is(error) && error.code, url).toBe('CONFIGURATION');
      expect(String(error)).not.toContain('hidden');
    }
  });
});
