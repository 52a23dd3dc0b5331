import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { COLUMNS } from './train-data.ts';
import type { Trained } from './train-task.ts';

const run = promisify(execFile);
/** Where to look for Python: another one may come before that of the system. */
const PYTHONS = ['python3', '/usr/bin/python3'];

export type Peer = 'xgboost' | 'sklearn';

/** The Python that has each of the others' trainers; who has none of it is said. */
export async function findPeers(note: (text: string) => void): Promise<ReadonlyMap<Peer, string>> {
  const found = new Map<Peer, string>();
  for (const peer of ['xgboost', 'sklearn'] as const) {
    for (const python of PYTHONS) {
      if (found.has(peer)) continue;
      await run(python, ['-c', `import numpy, ${peer}`]).then(
        () => found.set(peer, python),
        () => undefined,
      );
    }
    if (!found.has(peer)) note(`SKIPPED: python3 has no ${peer}; nothing is compared with it`);
  }
  return found;
}

/** Trains in a process of its own, on the same files. */
export async function trainPeer(
  python: string,
  peer: Peer,
  given: { readonly folder: string; readonly name: string; readonly threads: number },
): Promise<Trained> {
  const script = fileURLToPath(new URL('train-peer.py', import.meta.url));
  const { folder, name, threads } = given;
  const { stdout } = await run(python, [script, peer, folder, name, String(COLUMNS), String(threads)], {
    env: { ...process.env, OMP_NUM_THREADS: String(threads) },
  });
  return JSON.parse(stdout) as Trained;
}
