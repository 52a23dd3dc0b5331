import { UsageError } from '@tandem-examples/driver';
import { describe, expect, it } from 'vitest';
import { parseOptions } from './options.ts';

const places = { root: '/repository', cwd: '/elsewhere' };
const parse = (...args: string[]): ReturnType<typeof parseOptions> => parseOptions(args, places);

describe('parseOptions', () => {
  it('has defaults for the live run', () => {
    expect(parse()).toEqual({
      help: false,
      once: false,
      report: undefined,
      data: undefined,
      shuffleMs: 0,
      duplicate: 0,
      killAt: undefined,
      seed: 2,
      days: undefined,
      port: 0,
      dataDir: '/repository/.tandem',
      fresh: false,
    });
  });

  it('reads every option', () => {
    const args =
      '--once --report r.json --data /d --shuffle 60s --duplicate 0.01 --kill-at 0.5 --seed 3 --days 2 --port 80 --data-dir x';
    expect(parse(...args.split(' '))).toEqual({
      help: false,
      once: true,
      report: '/elsewhere/r.json',
      data: '/d',
      shuffleMs: 60_000,
      duplicate: 0.01,
      killAt: 0.5,
      seed: 3,
      days: 2,
      port: 80,
      dataDir: '/elsewhere/x',
      fresh: true,
    });
    expect(parse('--once').dataDir).toBe('/repository/.tandem/once');
    expect(parse('--help').help).toBe(true);
  });

  it.each([
    [['--shuffle', '60'], /--shuffle needs --once/],
    [['--once', '--shuffle', '60'], /--shuffle is a duration like 60s or 5m; got '60'/],
    [['--once', '--duplicate', '1.5'], /--duplicate is a number from 0 to 1/],
    [['--once', '--kill-at', ''], /--kill-at is a number from 0 to 1/],
    [['--once', '--days', '0'], /--days is a whole number from 1 to 365; got '0'/],
    [['--port', '70000'], /--port is a whole number/],
    [['--data', 'x'], /--data needs --once/],
    [['--unknown'], /--unknown/],
    [['word'], /word/],
  ])('refuses %j', (args, message) => {
    expect(() => parse(...args)).toThrow(UsageError);
    expect(() => parse(...args)).toThrow(message);
  });
});
