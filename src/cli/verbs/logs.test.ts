import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Output } from '../output.ts';
import { logs } from './logs.ts';

let dataDir: string;
let lines: string[];
const output: Output = {
  json: false,
  isWatched: false,
  result: (_, text) => void lines.push(text()),
  note: () => undefined,
  progress: () => undefined,
  endProgress: () => undefined,
  style: (_, text) => text,
};

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'tandem-logs-'));
  lines = [];
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

describe('tandem logs', () => {
  const write = async (name: string, text: string): Promise<void> => {
    await mkdir(join(dataDir, 'logs'), { recursive: true });
    await writeFile(join(dataDir, 'logs', name), text);
  };
  const show = (service?: string, count = '2'): Promise<void> =>
    logs(service, { dataDir, follow: false, lines: count }, output);

  it('shows the last lines of each process, and no unfinished one', async () => {
    await write('serve-1.log', 'a\nb\nc\nunfinis');
    await write('serve-2.log', 'd\n');
    await write('serve-2.log.old', 'older\n');
    await write('train-1.log', '');
    await show();
    expect(lines).toEqual(['serve-1 | b', 'serve-1 | c', 'serve-2 | d']);
  });

  it('shows those of one service', async () => {
    await write('serve-1.log', 'a\n');
    await write('train-1.log', 'b\n');
    await show('train');
    expect(lines).toEqual(['train-1 | b']);
  });

  it('shows none with -n 0', async () => {
    await write('serve-1.log', 'a\n');
    await show('serve', '0');
    expect(lines).toEqual([]);
  });

  it('says what is wrong', async () => {
    await expect(show()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(show('srve')).rejects.toThrow("Did you mean 'serve'?");
    await expect(show('serve', 'all')).rejects.toThrow("expected a whole number, got 'all'");
  });
});
