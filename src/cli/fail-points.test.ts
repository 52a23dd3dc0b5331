import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createLogger, noFailPoints } from '../runtime/index.ts';
import { openFailPoints } from './fail-points.ts';

/** A machine may be busy. */
const PATIENCE = { timeout: 20_000 };
const logger = createLogger({ level: 'silent' });

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tandem-orders-'));
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

describe('openFailPoints', () => {
  it('gives the ones that do nothing when nothing is said', () => {
    expect(openFailPoints(undefined, 'serve', logger)).toBe(noFailPoints);
  });

  it('arms what the variable says', async () => {
    const points = openFailPoints('serve.ledger.before=error:STORAGE_FULL@2', 'serve', logger);
    await points.pass('serve.ledger.before');
    await expect(points.pass('serve.ledger.before')).rejects.toMatchObject({ code: 'STORAGE_FULL' });
  });

  it('refuses to arm anything in production', () => {
    vi.stubEnv('NODE_ENV', 'production');
    expect(openFailPoints(undefined, 'serve', logger)).toBe(noFailPoints);
    for (const given of ['serve.ledger.before=kill', `folder:${folder}`]) {
      expect(() => openFailPoints(given, 'serve', logger)).toThrow('NODE_ENV is production');
    }
  });

  it('takes orders for its kind and its process, says what acted, and can be disarmed', async () => {
    const own = String(process.pid);
    await writeFile(join(folder, 'serve.start.arm'), 'serve.ledger.before=error:UNAVAILABLE');
    const points = openFailPoints(`folder:${folder}`, 'serve', logger);
    await expect(points.pass('serve.ledger.before')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(await readFile(join(folder, `${own}.fired`), 'utf8')).toBe('serve.ledger.before');

    // Not an order for a process that runs, and not one for another kind.
    await writeFile(join(folder, 'serve.start.arm'), 'log.append.before=error:UNAVAILABLE');
    await writeFile(join(folder, 'ingest.arm'), 'log.append.before=error:UNAVAILABLE');
    await writeFile(join(folder, `${own}.arm`), 'serve.answer.before=error:OVERLOADED@p1');
    await expect.poll(() => readdir(folder), PATIENCE).not.toContain(`${own}.arm`);
    await expect(points.pass('serve.answer.before')).rejects.toMatchObject({ code: 'OVERLOADED' });
    expect(points.pass('log.append.before')).toBeUndefined();
    expect(points.pass('serve.ledger.before')).toBeUndefined();
    expect(await readdir(folder)).toEqual(expect.arrayContaining(['ingest.arm', 'serve.start.arm']));

    await writeFile(join(folder, 'serve.arm'), '');
    await expect.poll(() => points.pass('serve.answer.before'), PATIENCE).toBeUndefined();
  });
});
