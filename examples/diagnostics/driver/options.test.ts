import { UsageError } from '@tandem-examples/driver';
import { describe, expect, it } from 'vitest';
import { OWN_FOLDER } from '../datasets/index.ts';
import { parseOptions } from './options.ts';

const places = { root: '/repository', cwd: '/elsewhere' };
const parse = (...args: string[]): ReturnType<typeof parseOptions> => parseOptions(args, places);

describe('parseOptions', () => {
  it('needs nothing: the data set comes with the example', () => {
    expect(parse()).toMatchObject({
      once: false,
      dataset: 'wdbc',
      data: OWN_FOLDER,
      dataDir: '/repository/.tandem/diagnostics',
      batches: undefined,
      byHand: false,
    });
    expect(parse('--once').dataDir).toBe('/repository/.tandem/diagnostics-once');
  });

  it('reads every option', () => {
    expect(
      parse(...'--once --dataset heart --data d --batches 4 --kill-at 0.5 --seed 9'.split(' ')),
    ).toMatchObject({
      dataset: 'heart',
      data: '/elsewhere/d',
      batches: 4,
      killAt: 0.5,
      seed: 9,
    });
    expect(parse('--by-hand').byHand).toBe(true);
  });

  it.each([
    [['--dataset', 'mnist'], /--dataset is one of wdbc, pima, heart, hypothyroid; got 'mnist'/],
    [['--dataset', 'toString'], /--dataset is one of/],
    [['--dataset', 'pima'], /--dataset pima needs --data/],
    [['--batches', '5'], /--batches needs --once/],
    [['--once', '--batches', '3'], /--batches is a whole number from 4/],
    [['--once', '--by-hand'], /--by-hand is for a live run/],
    [['--once', '--url', 'http://a', '--kill-at', '0.5'], /--kill-at is for a product that is started/],
  ])('refuses %j', (args, message) => {
    expect(() => parse(...args)).toThrow(UsageError);
    expect(() => parse(...args)).toThrow(message);
  });
});
