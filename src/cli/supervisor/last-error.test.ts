import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PlatformError } from '../../contract/index.ts';
import { createLogger } from '../../runtime/index.ts';
import { reportError } from '../output.ts';
import { lastError } from './last-error.ts';

let folder: string;
let file: string;
let lines: string[];
const logger = createLogger({ write: (line) => void lines.push(line) });

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tandem-last-error-'));
  file = join(folder, 'serve-1.log');
  lines = [];
});
afterEach(() => rm(folder, { recursive: true }));

/** Writes what processes really write. */
async function written(): Promise<string> {
  await writeFile(file, lines.join(''));
  return file;
}

/** What a verb writes when it fails. */
function ends(error: unknown): void {
  reportError(error, true, { write: (line: string) => lines.push(line) } as unknown as NodeJS.WriteStream);
}

describe('lastError', () => {
  it('is the problem with which a process ended, with its code', async () => {
    logger.info('Started', { service: 'serve' });
    logger.error('Something else before it');
    ends(new PlatformError('CONFIGURATION', '--port: 7717 is taken by another process'));
    expect(await lastError(await written(), 0)).toBe(
      '--port: 7717 is taken by another process [CONFIGURATION]',
    );
  });

  it('is the last error that was logged, with its cause', async () => {
    logger.info('Started', { service: 'serve' });
    logger.error('The first');
    const cause = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
    logger.error('The second', { error: cause });
    logger.info('Stopping');
    expect(await lastError(await written(), 0)).toBe('The second: connect ECONNREFUSED [ECONNREFUSED]');
  });

  it.each([
    [
      'TypeError: x is not a function',
      'TypeError: x is not a function\n    at file:///a.ts:1:1\n\nNode.js v24\n',
    ],
    [
      'Error [ERR_X]: no such thing',
      'node:internal\n  throw it;\n  ^\n\nError [ERR_X]: no such thing\n    at a\n',
    ],
    [
      'FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory',
      'FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n----- Native stack trace -----\n 1: 0x1\n',
    ],
  ])('is what Node.js says of a crash: %s', async (reason, text) => {
    logger.info('Started', { service: 'serve' });
    lines.push(text);
    expect(await lastError(await written(), 0)).toBe(reason);
  });

  it('is nothing where the process wrote no error, or long before its last line', async () => {
    expect(await lastError(await written(), 0)).toBeUndefined();
    expect(await lastError(join(folder, 'none'), 0)).toBeUndefined();
    const line = (level: string, time: string): string =>
      `${JSON.stringify({ level, time, message: 'Said' })}\n`;
    lines = [line('error', '2026-01-01T10:00:00.000Z'), line('info', '2026-01-01T11:00:00.000Z')];
    expect(await lastError(await written(), 0)).toBeUndefined();
  });

  it('is nothing of what the process before it wrote', async () => {
    ends(new PlatformError('UNAVAILABLE', 'No database'));
    const { length } = lines.join('');
    lines.push('{ not JSON\n');
    expect(await lastError(await written(), length)).toBeUndefined();
    // Where nobody knows where its part begins.
    logger.info('Started', { service: 'serve' });
    expect(await lastError(await written(), 0)).toBeUndefined();
  });

  it('reads the end of a long log, and cuts what is long', async () => {
    await writeFile(file, `${'x'.repeat(200_000)}\n`);
    await appendFile(file, `Error: ${'y'.repeat(1_000)}\n`);
    expect(await lastError(file, 0)).toBe(`Error: ${'y'.repeat(293)}...`);
  });
});
