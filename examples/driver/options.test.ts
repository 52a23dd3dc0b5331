import { describe, expect, it } from 'vitest';
import { parseCommon, UsageError } from './options.ts';

const places = { root: '/repository', cwd: '/elsewhere' };
const own = {
  seed: 7,
  dataDir: { live: '.tandem/x', once: '.tandem/x-once' },
  values: ['size', 'kill-at'],
  onlyOnce: ['kill-at'],
  onlyStarted: ['kill-at'],
};

describe('parseCommon', () => {
  it("keeps an example's own data folders and seed unless others are named", () => {
    expect(parseCommon([], places, own).common).toMatchObject({
      seed: 7,
      dataDir: '/repository/.tandem/x',
      fresh: false,
    });
    expect(parseCommon(['--once'], places, own).common).toMatchObject({
      dataDir: '/repository/.tandem/x-once',
      fresh: true,
    });
    const { common } = parseCommon(['--seed', '3', '--data-dir', 'y', '--fresh'], places, own);
    expect(common).toMatchObject({ seed: 3, dataDir: '/elsewhere/y', fresh: true });
  });

  it("reads an example's own options as texts and as paths", () => {
    const { own: text, path } = parseCommon(['--size', '5'], places, own);
    expect([text('size'), path('size'), text('kill-at')]).toEqual(['5', '/elsewhere/5', undefined]);
  });

  it.each([
    [['--kill-at', '1'], /--kill-at needs --once/],
    [['--url', 'http://a'], /--url needs --once/],
    [['--once', '--url', 'nowhere'], /--url is an address/],
    [['--once', '--url', 'http://a', '--replicas', '2'], /--replicas is for a product that is started/],
    [['--once', '--url', 'http://a', '--kill-at', '1'], /--kill-at is for a product that is started/],
    [['--other'], /--other/],
  ])('refuses %j', (args, message) => {
    expect(() => parseCommon(args, places, own)).toThrow(UsageError);
    expect(() => parseCommon(args, places, own)).toThrow(message);
  });
});
