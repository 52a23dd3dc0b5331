import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startEmbedded } from '../../src/adapters/postgres/embedded/index.ts';
import { exclusively, isUsed } from './embedded-server.ts';

// Stops the shared test server once no process uses it any more. Test processes may be killed, so none of
// them can.

const IDLE_MS_MAX = 3_000;
const POLL_MS = 500;

const folder = process.argv[2] ?? '';
for (let idleSince = performance.now(); ;) {
  await sleep(POLL_MS);
  if (await isUsed(folder)) idleSince = performance.now();
  if (performance.now() - idleSince > IDLE_MS_MAX && (await exclusively(stopIfUnused))) break;
}

async function stopIfUnused(): Promise<boolean> {
  if (await isUsed(folder)) return false;
  const server = await startEmbedded({ directory: join(folder, 'server') });
  await server.stop();
  await rm(folder, { recursive: true, force: true });
  return true;
}
