import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
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
