import { paced, rememberWorld, type RunTools, trainModel, versionOf } from '@tandem-examples/driver';
import { Bookshop } from '../bookshop.ts';
import type { Visit } from '../world.ts';
import { openShop, release, SHELF } from './opening.ts';
import { RANKER } from './once.ts';
import type { RunOptions } from './options.ts';
import { RECOMMENDATION, ShopFloor } from './shop-floor.ts';
import { emptyTally, Visitors } from './visitors.ts';

/** How much faster than the clock on the wall the simulated time goes: a day takes ten minutes. */
const SPEED = 144;
/** A visit is told in so much time on the wall at most, in milliseconds. */
const TELL_MS = 2_000;
const STATUS_MS = 15_000;
/** The models are trained anew each time so much simulated time has passed, and this long after it outcomes are known. */
const TRAIN_MS = 86_400_000;
const MATURE_MS = 60 * 60_000;
/** The ranker needs shelves of so many days first. */
const RANKER_DAYS = 3;

/** Plays the bookshop through the product until the signal is aborted. Goes on where an earlier run ended. */
export async function runLive(options: RunOptions, tools: RunTools): Promise<void> {
  const { platform, product, timeline, signal } = tools;
  await rememberWorld(options, 'shop-world.json', { seed: options.seed });
  timeline.say('start', 'starting the product and its database');
  await timeline.phase('start', () => product.start({ fresh: options.fresh }));
  timeline.say(
    'start',
    `the product is ready at ${product.url}, its log is ${product.logPath ?? 'elsewhere'}`,
  );
  const world = new Bookshop(options.seed);
  const floor = new ShopFloor(platform, world);
  const visitors = new Visitors(world, floor, timeline);
  const known = await platform.currentRelease(RECOMMENDATION);
  let fromMs = world.openMs;
  if (known === undefined) {
    timeline.say('open', world.title);
    await openShop(world, { platform, timeline, signal, floor, visitors });
  } else {
    fromMs = (await platform.clock()) + 1;
    timeline.say('resume', `at ${minute(fromMs)} of simulated time; ${known.id} is in charge`);
  }
  if (signal.aborted) return;
  timeline.say('live', `simulated time goes ${String(SPEED)} times faster; Ctrl-C ends`);
  await serve({ world, floor, visitors, fromMs }, tools);
}

interface Live {
  readonly world: Bookshop;
  readonly floor: ShopFloor;
  readonly visitors: Visitors;
  readonly fromMs: number;
}

async function serve({ world, visitors, fromMs }: Live, tools: RunTools): Promise<void> {
  const { timeline, product, signal } = tools;
  let tally = emptyTally();
  let trainedMs = fromMs;
  let training: Promise<void> | undefined;
  let toldAt = -Infinity;
  const status = setInterval(() => {
    const { visits, clicks, expected, expectedShelf, expectedPopular, failed } = tally;
    if (visits === 0) return;
    const per100 = (sum: number): string => ((100 * sum) / visits).toFixed(1);
    timeline.say(
      'status',
      `${String(visits)} visits, ${String(clicks)} clicks; expected in 100 visits ${per100(expected)}, ` +
        `of the shelf's own order ${per100(expectedShelf)}, of the most popular ${per100(expectedPopular)}${failed === 0 ? '' : `; ${String(failed)} failed`}`,
    );
    tally = emptyTally();
  }, STATUS_MS);
  try {
    for await (const { visit } of paced(timed(world.visits(fromMs)), { speed: SPEED, signal })) {
      await product.up();
      const before = tally.clicks;
      await visitors.serve(visit, tally);
      if (tally.clicks > before && performance.now() - toldAt > TELL_MS) {
        toldAt = performance.now();
        timeline.say(
          'click',
          `${minute(visit.at)} ${visit.userId} opens ${String(tally.clicks - before)} of what was shown`,
        );
      }
      if (visit.at - trainedMs < TRAIN_MS) continue;
      trainedMs = visit.at;
      training ??= train(tools, visit.at, (visit.at - world.openMs) / TRAIN_MS >= RANKER_DAYS).finally(() => {
        training = undefined;
      });
    }
  } finally {
    clearInterval(status);
  }
}

/** Trains the shelf, and the ranker if there is enough, with what is known, and puts them in charge. */
async function train(tools: RunTools, atMs: number, isRanked: boolean): Promise<void> {
  const { platform, timeline } = tools;
  try {
    const asOf = atMs - MATURE_MS;
    const shelf = await trainModel(platform, timeline, { model: SHELF, asOf });
    const ranker = isRanked ? await trainModel(platform, timeline, { model: RANKER, asOf }) : undefined;
    const versions = {
      version: versionOf(SHELF, shelf),
      ...(ranker === undefined ? {} : { ranker: versionOf(RANKER, ranker) }),
    };
    await release(tools, versions, `with what was known at ${minute(asOf)}`);
  } catch (error) {
    timeline.say('train', `nothing was released: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function* timed(visits: Iterable<Visit>): Iterable<{ readonly visit: Visit; readonly sendAt: number }> {
  for (const visit of visits) yield { visit, sendAt: visit.at };
}

/** The instant to the minute. */
function minute(time: number): string {
  return new Date(time).toISOString().slice(0, 16).replace('T', ' ');
}
