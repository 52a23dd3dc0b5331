import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { main } from './program.ts';
import { readInstant } from './verbs/train.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tandem-cli-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

let stdout = '';
let stderr = '';
beforeEach(() => {
  [stdout, stderr] = ['', ''];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += String(text);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    stderr += String(text);
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

describe('the command line', () => {
  it.each([
    [['--help'], 0, ''],
    [['--version'], 0, ''],
    [['modls'], 2, 'Did you mean models?'],
    [['models', '--jsno'], 2, 'Did you mean --json?'],
    [['ingest', 'payments'], 2, "missing required argument 'path'"],
    [['dev', '--clock', 'sun'], 2, 'Allowed choices are wall, event'],
    [['models', '--url', 'nonsense'], 2, 'expected http://host:port'],
    [
      ['train', 'fraud', '--as-of', 'yesterday', '--url', 'http://127.0.0.1:1'],
      2,
      '--as-of: expected an instant',
    ],
    [
      ['release', 'score', 'newest', '--url', 'http://127.0.0.1:1'],
      2,
      "version: expected a number, got 'newest'",
    ],
    [['config', '--set', 'features.clok=event'], 2, "Did you mean 'features.clock'?"],
    [['config', '--set', 'features'], 2, 'expected SERVICE.OPTION=VALUE'],
    [['run', 'srve', '--app', 'x.ts'], 2, "Did you mean 'serve'?"],
    [['dev', '--app', '/nowhere/app.ts'], 2, 'there is no file /nowhere/app.ts'],
  ])('%o exits with %i', async (parameters, code, text) => {
    expect(await main(parameters)).toBe(code);
    expect(stderr).toContain(text);
    if (code !== 0) expect(stdout).toBe('');
  });

  it('says how to start a server when there is none', async () => {
    expect(await main(['models', '--data-dir', folder])).toBe(1);
    expect(stderr).toContain("Start one with 'tandem dev'");
  });

  it('gives errors as problem documents with --json', async () => {
    expect(await main(['models', '--data-dir', folder, '--json'])).toBe(1);
    expect(JSON.parse(stderr)).toMatchObject({ code: 'UNAVAILABLE', status: 503 });
  });

  it('shows where options come from', async () => {
    vi.stubEnv('TANDEM_FEATURES_CLOCK', 'event');
    vi.stubEnv('DATABASE_URL', 'postgres://u:secret@localhost/db');
    expect(await main(['config', '--json', '--port', '8000'])).toBe(0);
    const entries = JSON.parse(stdout) as {
      section: string;
      option: string;
      value: unknown;
      origin: string;
    }[];
    const find = (section: string, option: string) =>
      entries.find((entry) => entry.section === section && entry.option === option);
    expect(find('features', 'clock')).toMatchObject({ value: 'event', origin: 'environment' });
    expect(find('process', 'port')).toMatchObject({ value: 8_000, origin: 'flag' });
    expect(find('process', 'host')).toMatchObject({ value: '127.0.0.1', origin: 'default' });
    expect(stdout).not.toContain('secret');
  });

  it('refuses variables that nobody knows', async () => {
    vi.stubEnv('TANDEM_FEATURES_CLOK', 'event');
    expect(await main(['config'])).toBe(2);
    expect(stderr).toContain("Did you mean 'TANDEM_FEATURES_CLOCK'?");
  });
});

describe('readInstant', () => {
  it.each([
    ['2018-06-11', Date.UTC(2018, 5, 11)],
    ['2018-06-11T12:00:00Z', Date.UTC(2018, 5, 11, 12)],
    ['2018-06-11T12:00+02:00', Date.UTC(2018, 5, 11, 10)],
    ['1528675200000', 1_528_675_200_000],
  ])('%s', (text, ms) => {
    expect(readInstant('--as-of', text)).toBe(ms);
  });

  it.each(['June', '2018-13-01', '2018-06-11T12:00', '12'])('refuses %s', (text) => {
    expect(() => readInstant('--as-of', text)).toThrow('--as-of: expected an instant');
  });
});
