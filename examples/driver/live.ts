import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** When a stream is late by more than this, in milliseconds on the wall, it does not try to catch up. */
const LATE_MS_MAX = 2_000;

/** Something that happens at an instant of simulated time, in milliseconds since 1970-01-01 UTC. */
interface Timed {
  readonly sendAt: number;
}

export interface Pace {
  /** How much faster than the clock on the wall the simulated time goes. */
  readonly speed: number;
  /** Ends the stream. */
  readonly signal: AbortSignal;
}

/** Lets items through at a pace, until the signal is aborted. They come in the order of time. */
export async function* paced<TItem extends Timed>(items: Iterable<TItem>, pace: Pace): AsyncGenerator<TItem> {
  const { speed, signal } = pace;
  let begin: { readonly wall: number; readonly event: number } | undefined;
  for (const item of items) {
    begin ??= { wall: performance.now(), event: item.sendAt };
    const dueMs = begin.wall + (item.sendAt - begin.event) / speed - performance.now();
    if (dueMs < -LATE_MS_MAX) begin = { wall: performance.now(), event: item.sendAt };
    if (dueMs > 0) await sleep(dueMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    yield item;
  }
}

/**
 * Remembers in the data folder which world is in it: two worlds in one folder would make no sense. Throws
 * when the folder holds another one.
 */
export async function rememberWorld(
  folder: { readonly dataDir: string; readonly fresh: boolean },
  file: string,
  world: Readonly<Record<string, unknown>>,
): Promise<void> {
  const path = join(folder.dataDir, file);
  await mkdir(folder.dataDir, { recursive: true, mode: 0o700 });
  const wanted = `${JSON.stringify(world)}\n`;
  const found = folder.fresh ? undefined : await readFile(path, 'utf8').catch(() => undefined);
  if (found !== undefined && found !== wanted) {
    throw new Error(
      `${folder.dataDir} holds another simulated world (${found.trim()}). ` +
        'Start with those options, with --fresh to begin anew, or with another --data-dir.',
    );
  }
  await writeFile(path, wanted);
}
