import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { administrate, copyCluster } from '../../test/conformance/embedded-server.ts';
import { removeEmbedded } from '../adapters/postgres/index.ts';
import { createLogger } from '../runtime/index.ts';
import { embeddedDatabase } from './database.ts';

const STARTER = fileURLToPath(new URL('../../test/conformance/fixtures/start-embedded.ts', import.meta.url));
/** A start, on a machine that has other things to do; in milliseconds. */
const PATIENCE_MS = 60_000;

it(
  'is started again at its address when it is killed, also when its parent does not ask for it',
  async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'tandem-database-'));
    const directory = join(dataDir, 'postgres');
    await chmod(dataDir, 0o755);
    await copyCluster(directory);
    const starter = spawn(process.execPath, [STARTER, directory, 'stay'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      await once(createInterface({ input: starter.stdout }), 'line');
      // A stopped parent does not wait for its children: they stay in the list of processes when they have ended.
      starter.kill('SIGSTOP');
      const database = await embeddedDatabase(dataDir, createLogger({ level: 'silent' }), () => undefined);
      for (let kill = 0; kill < 2; kill += 1) {
        const { pid } = database;
        process.kill(pid ?? 0, 'SIGKILL');
        await expect.poll(() => database.pid, { timeout: PATIENCE_MS }).not.toBe(pid);
        expect(await administrate(database.url, 'select 1 as one')).toEqual([{ one: 1 }]);
      }
      await database.stop();
    } finally {
      starter.kill('SIGKILL');
      await removeEmbedded(directory);
      await rm(dataDir, { recursive: true, force: true });
    }
  },
  3 * PATIENCE_MS,
);

// PostgreSQL refuses to run as root: only then its data lie outside a folder that nobody else may enter.
it.runIf(process.getuid?.() === 0)(
  'does not take the database of a removed folder for that of a new one of the same name, until it is removed too',
  async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'tandem-database-'));
    const directory = join(dataDir, 'postgres');
    await chmod(dataDir, 0o700);
    const start = () => embeddedDatabase(dataDir, createLogger({ level: 'silent' }), () => undefined);
    try {
      const first = await start();
      await administrate(first.url, 'create table kept (id integer)');
      await first.stop();
      await rm(dataDir, { recursive: true });
      await mkdir(dataDir, { mode: 0o700 });
      for (let again = 0; again < 2; again += 1)
        await expect(start()).rejects.toMatchObject({ code: 'CONFIGURATION' });
      await rm(directory, { recursive: true });
      await removeEmbedded(directory);
      const second = await start();
      expect(await administrate(second.url, "select to_regclass('kept') as kept")).toEqual([{ kept: null }]);
      await second.stop();
    } finally {
      await removeEmbedded(directory);
      await rm(dataDir, { recursive: true, force: true });
    }
  },
  3 * PATIENCE_MS,
);
