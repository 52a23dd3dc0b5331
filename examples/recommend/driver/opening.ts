import { grouped, type RunAnswer, type RunTools, trainModel, versionOf } from '@tandem-examples/driver';
import type { World } from '../world.ts';
import { BY_SHELF, type Click, RECOMMENDATION, type ShopFloor } from './shop-floor.ts';
import type { Visitors } from './visitors.ts';

export const SHELF = 'shelf';

/** Finds of one request while history is told. */
const BATCH_FINDS = 2_000;
/** How long a release may take to reach what answers, in milliseconds. */
const RELEASE_MS_MAX = 15_000;
const POLL_MS = 50;

/** What opening a shop needs. */
export interface OpeningTools extends Pick<RunTools, 'platform' | 'timeline' | 'signal'> {
  readonly floor: ShopFloor;
  readonly visitors: Visitors;
}

/** Lists the items, tells the history, trains the shelf with it and puts it in charge, without a ranker. */
export async function openShop(world: World, tools: OpeningTools): Promise<RunAnswer> {
  const { platform, timeline } = tools;
  await timeline.phase('history', () => tellHistory(world, tools));
  const run = await timeline.phase('train', () =>
    trainModel(platform, timeline, { model: SHELF, asOf: world.openMs }),
  );
  const version = versionOf(SHELF, run);
  await platform.releaseRecommendation(BY_SHELF, { version }, 'the first shelf');
  const first = await release(tools, { version, ranker: null }, 'the first shelf');
  await waitForRelease(tools.floor, first, world.openMs);
  return run;
}

/** Lists the items and tells what readers found before the shop opened. */
async function tellHistory(world: World, { floor, visitors, timeline, signal }: OpeningTools): Promise<void> {
  await floor.list(world.items, world.startMs);
  let batch: Click[] = [];
  let finds = 0;
  const tell = async (): Promise<void> => {
    await floor.tellClicks(batch);
    visitors.note(batch);
    finds += batch.length;
    batch = [];
  };
  for (const find of world.history()) {
    batch.push(find);
    if (batch.length < BATCH_FINDS) continue;
    await tell();
    signal.throwIfAborted();
  }
  await tell();
  timeline.say('history', `${grouped(world.items.length)} items, ${grouped(finds)} finds`);
}

/** Puts versions in charge; resolves with the release that is. */
export async function release(
  { platform, timeline }: Pick<OpeningTools, 'platform' | 'timeline'>,
  versions: { readonly version?: number; readonly ranker?: number | null },
  reason: string,
): Promise<string> {
  const made = await platform.releaseRecommendation(RECOMMENDATION, versions, reason);
  timeline.say('release', `${made.id}: ${reason}`);
  return made.id;
}

/** Waits until a release answers. Rejects when it does not. */
export async function waitForRelease(floor: ShopFloor, releaseId: string, atMs: number): Promise<void> {
  const deadline = performance.now() + RELEASE_MS_MAX;
  for (let look = 0; performance.now() < deadline; look += 1) {
    const visit = { visitId: `look-${releaseId}-${String(look)}`, userId: 'nobody', at: atMs };
    const shown = await floor.recommend(visit).catch(() => undefined);
    const own = await floor.recommend(visit, BY_SHELF).catch(() => undefined);
    if (shown?.release === releaseId && own !== undefined) return;
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
  throw new Error(`Release ${releaseId} does not answer after ${String(RELEASE_MS_MAX / 1_000)} s`);
}
