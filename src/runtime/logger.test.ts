import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { withScope } from './call.ts';
import { createLogger } from './logger.ts';

function capture(format: 'json' | 'text' = 'json') {
  const lines: string[] = [];
  return { lines, logger: createLogger({ format, write: (line) => void lines.push(line) }) };
}

/** Only Linux has a device that is a full disk. */
const HAS_FULL_DISK = existsSync('/dev/full');
if (!HAS_FULL_DISK) process.stderr.write('\nSKIPPED: a log on a full disk: there is no /dev/full\n\n');

describe('createLogger', () => {
  it('writes one JSON object a line, with the request that it belongs to', () => {
    const { lines, logger } = capture();
    withScope({ requestId: 'r-1', span: undefined }, () =>
      logger.with({ service: 'serve' }).info('done', { seconds: 2 }),
    );
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 'info',
      message: 'done',
      service: 'serve',
      seconds: 2,
      requestId: 'r-1',
    });
  });

  it('withholds what clients send and what opens doors', () => {
    const { lines, logger } = capture();
    logger.warn('odd', { body: { card: '4111' }, records: ['4111'], password: '4111', source: 'payments' });
    expect(lines[0]).not.toContain('4111');
    expect(lines[0]).toContain('payments');
  });

  it('writes of errors only what is ours to show, causes included', () => {
    const { lines, logger } = capture();
    const driver = Object.assign(new Error('duplicate key'), {
      code: '23505',
      detail: 'Key (card)=(4111) exists',
    });
    logger.error('failed', { error: new Error('could not store', { cause: driver }) });
    logger.error('failed', {
      error: Object.fromEntries(
        Object.getOwnPropertyNames(driver).map((name) => [name, Reflect.get(driver, name)]),
      ),
    });
    expect(lines.join('')).not.toContain('4111');
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      error: { cause: { code: '23505', message: 'duplicate key' } },
    });
    expect(JSON.parse(lines[1] ?? '')).toMatchObject({ error: { code: '23505' } });
  });

  it('writes for people', () => {
    const { lines, logger } = capture('text');
    logger.warn('lagging', { source: 'payments', error: new Error('no answer') });
    expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d warn: lagging \(source=payments error=no answer\)\n$/);
  });

  it('leaves out what is below its level', () => {
    const lines: string[] = [];
    const logger = createLogger({ level: 'warn', write: (line) => void lines.push(line) });
    logger.info('chatter');
    expect(lines).toEqual([]);
  });

  it.runIf(HAS_FULL_DISK)('loses lines for which the disk has no room, and nothing else', async () => {
    const script = `
      const { createLogger } = await import(${JSON.stringify(fileURLToPath(new URL('logger.ts', import.meta.url)))});
      const logger = createLogger();
      for (let line = 0; line < 3; line += 1) {
        logger.warn('nobody reads this');
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      process.stdout.write('alive');`;
    const full = openSync('/dev/full', 'w');
    const child = spawn(
      process.execPath,
      ['--conditions=tandem-source', '--input-type=module', '-e', script],
      {
        stdio: ['ignore', 'pipe', full],
      },
    );
    closeSync(full);
    let said = '';
    child.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    expect(await once(child, 'close')).toEqual([0, null]);
    expect(said).toBe('alive');
  });
});
