import { setTimeout as sleep } from 'node:timers/promises';
import {
  DAY_MS,
  grouped,
  type OnceResult,
  type RunAnswer,
  runTandem,
  type RunTools,
  trainModel,
  versionOf,
} from '@tandem-examples/driver';
import { Bookshop } from '../bookshop.ts';
import { RatingsFolder } from '../ratings-folder.ts';
import type { Visit, World } from '../world.ts';
import { NextBuild } from './next-build.ts';
import { openShop, release, SHELF, waitForRelease } from './opening.ts';
import type { RunOptions } from './options.ts';
import { type Report, rounded, type StageReport, stageReport, type VersionReport } from './report.ts';
import { ShopFloor, SOURCES } from './shop-floor.ts';
import { CLICK_MS_MAX, emptyTally, type Tally, Visitors } from './visitors.ts';

export const RANKER = 'ranker';
const TASTE_RANKER = 'taste_ranker';

/** Days that the shelf is made by the recommender alone, so that there is something to rank by. */
const SHELF_DAYS = 3;
/** Days that the ranker makes it, and then the one with the new feature. */
const RANKED_DAYS = 1;
const TASTE_DAYS = 1;
/** Outcomes of the last visit are known after it, in milliseconds of simulated time. */
const MATURE_MS = 60 * 60_000;
/** Between two visits while the new feature is deployed, in milliseconds on the wall. */
const DEPLOY_PAUSE_MS = 100;
const CATCH_UP_MS_MAX = 60_000;
const REPLAYS = 3;
const TASTE_STAGE = 'with the new feature';

/** A bounded run: everything that the shop does, checked. */
export async function runOnce(options: RunOptions, tools: RunTools): Promise<OnceResult<Report>> {
  const { product, timeline } = tools;
  const world =
    options.data === undefined ? new Bookshop(options.seed) : await RatingsFolder.open(options.data);
  timeline.say('inspect', world.title);
  await timeline.phase('start', () => product.start({ fresh: options.fresh }));
  timeline.say('start', `the product is ready at ${product.url}, data in ${options.dataDir}`);
  return new BoundedRun(options, world, tools).run();
}

class BoundedRun {
  readonly #options: RunOptions;
  readonly #world: World;
  readonly #tools: RunTools;
  readonly #floor: ShopFloor;
  readonly #visitors: Visitors;
  readonly #visits: Iterator<Visit>;
  readonly #models: VersionReport[] = [];
  readonly #stages: StageReport[] = [];
  readonly #tallies: Tally[] = [];
  readonly #violations: string[] = [];
  /** The visit that comes next. */
  #next: Visit | undefined;

  constructor(options: RunOptions, world: World, tools: RunTools) {
    this.#options = options;
    this.#world = world;
    this.#tools = tools;
    this.#floor = new ShopFloor(tools.platform, world);
    this.#visitors = new Visitors(world, this.#floor, tools.timeline);
    this.#visits = world.visits(world.openMs)[Symbol.iterator]();
    this.#advance();
  }

  async run(): Promise<OnceResult<Report>> {
    const { timeline, memory } = this.#tools;
    const tools = { ...this.#tools, floor: this.#floor, visitors: this.#visitors };
    this.#note(SHELF, await openShop(this.#world, tools));
    const { openMs } = this.#world;
    const rankedMs = openMs + SHELF_DAYS * DAY_MS;
    await this.#stage('the shelf alone', rankedMs);
    const ranker = await this.#train(RANKER, rankedMs);
    const ranked = await release(tools, { ranker: versionOf(RANKER, ranker) }, 'the first ranker');
    await waitForRelease(this.#floor, ranked, rankedMs);
    await this.#stage('with the ranker', rankedMs + RANKED_DAYS * DAY_MS);
    const newFeature = await timeline.phase('deploy', () => this.#newFeature());
    if (newFeature !== null) {
      const from = this.#next?.at ?? rankedMs + RANKED_DAYS * DAY_MS;
      await this.#stage(TASTE_STAGE, from + TASTE_DAYS * DAY_MS);
    }
    const kept = await timeline.phase('settle', () => this.#settle());
    const replayed = await timeline.phase('replay', () => this.#replay());
    this.#check();
    const clickMs = this.#tallies.flatMap((tally) => tally.clickMs).sort((a, b) => a - b);
    const { sent, refused } = this.#floor;
    return {
      violations: this.#violations,
      report: {
        world: this.#world.title,
        records: { sent, quarantined: refused, kept },
        models: this.#models,
        stages: this.#stages,
        clicks: {
          looks: clickMs.length,
          p50Ms: rounded(clickMs[Math.floor(clickMs.length / 2)] ?? null),
          maxMs: rounded(clickMs.at(-1) ?? null),
        },
        newFeature,
        replayed,
        seconds: timeline.seconds,
        peakRssMb: memory.peakMb,
      },
    };
  }

  /** Serves the visits up to an instant. */
  async #stage(name: string, untilMs: number): Promise<void> {
    const { timeline } = this.#tools;
    const tally = emptyTally();
    await timeline.phase('visits', async () => {
      while (this.#next !== undefined && this.#next.at < untilMs) await this.#serve(tally);
    });
    this.#close(name, tally);
  }

  async #serve(tally: Tally): Promise<void> {
    this.#tools.signal.throwIfAborted();
    const visit = this.#next;
    if (visit === undefined) return;
    this.#advance();
    await this.#visitors.serve(visit, tally);
  }

  #advance(): void {
    const next = this.#visits.next();
    this.#next = next.done === true ? undefined : next.value;
  }

  #close(name: string, tally: Tally): void {
    this.#tallies.push(tally);
    const report = stageReport(name, [...tally.releases.keys()].at(-1) ?? '-', tally);
    this.#stages.push(report);
    this.#tools.timeline.say(
      'visits',
      `${name}: ${grouped(tally.visits)} visits, ${grouped(tally.clicks)} clicks on what was shown; expected in 100 visits ` +
        `${report.expectedPer100.toFixed(1)}, of the shelf's own order ${report.shelfPer100.toFixed(1)}, of the most popular ` +
        report.popularPer100.toFixed(1),
    );
  }

  async #train(model: string, atMs: number): Promise<RunAnswer> {
    const { platform, timeline } = this.#tools;
    const run = await timeline.phase('train', () =>
      trainModel(platform, timeline, { model, asOf: atMs + MATURE_MS }),
    );
    this.#note(model, run);
    return run;
  }

  #note(model: string, run: RunAnswer): void {
    const version = versionOf(model, run);
    const ndcg10 = run.metrics['ndcg10'] ?? null;
    const fitSeconds = run.steps.find(({ name }) => name === 'fit')?.seconds ?? null;
    this.#models.push({ model, version, ndcg10, fitSeconds });
  }

  /** Deploys the app with the new feature, trains the new ranker and puts it in charge, while visitors come and go. */
  async #newFeature(): Promise<Report['newFeature']> {
    const { timeline, product } = this.#tools;
    if (this.#options.url !== undefined) return null;
    const tally = emptyTally();
    const began = performance.now();
    const done = new AbortController();
    const visiting = this.#visitUntil(done.signal, tally);
    // Whoever waits for it learns of a failure; until then it must not end the process.
    visiting.catch(() => undefined);
    try {
      await this.#deployNext();
      timeline.say('deploy', 'the new feature is built from history and deployed');
      const atMs = this.#next?.at ?? this.#world.openMs;
      const run = await this.#train(TASTE_RANKER, atMs - MATURE_MS);
      const made = await release(
        this.#tools,
        { ranker: versionOf(TASTE_RANKER, run) },
        'a ranker with the new feature',
      );
      await waitForRelease(this.#floor, made, this.#next?.at ?? atMs);
    } finally {
      done.abort();
      await visiting;
    }
    if (product.isDown) throw new Error('The product is down');
    const seconds = (performance.now() - began) / 1_000;
    this.#close('while the new feature came', tally);
    return { seconds, visits: tally.visits, failed: tally.failed };
  }

  async #visitUntil(signal: AbortSignal, tally: Tally): Promise<void> {
    while (!signal.aborted && this.#next !== undefined) {
      await this.#serve(tally);
      await sleep(DEPLOY_PAUSE_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  async #deployNext(): Promise<void> {
    await using build = await NextBuild.make();
    const common = ['--version', build.folder, '--data-dir', this.#options.dataDir];
    await runTandem(['deploy', 'features', ...common]);
    await runTandem(['deploy', 'registry', 'train', 'serve', ...common]);
  }

  /** Waits until everything is applied; how many records were kept. */
  async #settle(): Promise<number> {
    const { platform } = this.#tools;
    let kept = 0;
    for (const source of Object.values(SOURCES)) {
      const deadline = performance.now() + CATCH_UP_MS_MAX;
      let counts = await platform.source(source);
      while ((counts.lag !== 0 || counts.duplicates === null) && performance.now() < deadline) {
        await sleep(100);
        counts = await platform.source(source);
      }
      if (counts.lag !== 0)
        this.#violations.push(`${source}: ${String(counts.lag)} records are still not applied`);
      kept += counts.accepted - (counts.duplicates ?? 0);
    }
    return kept;
  }

  async #replay(): Promise<Report['replayed']> {
    const { samples } = this.#visitors;
    const places = new Set([0, Math.floor(samples.length / 2), samples.length - 1]);
    const chosen = [...places].slice(0, REPLAYS).flatMap((place) => samples[place] ?? []);
    let equal = 0;
    for (const id of chosen) {
      const replay = await this.#tools.platform.replay(id);
      if (replay.equal) equal += 1;
      else
        this.#violations.push(`recommendation ${id} replays differently: ${replay.differences.join(', ')}`);
    }
    return { equal, of: chosen.length };
  }

  #check(): void {
    const { sent, refused, firstRefusal } = this.#floor;
    const fail = (isWrong: boolean, text: string): void => {
      if (isWrong) this.#violations.push(text);
    };
    fail(
      refused > 0,
      `${grouped(refused)} of ${grouped(sent)} records are in quarantine: ${firstRefusal ?? '-'}`,
    );
    for (const [index, tally] of this.#tallies.entries()) {
      const stage = this.#stages[index]?.stage ?? '';
      fail(tally.failed > 0, `${stage}: ${grouped(tally.failed)} visits failed: ${tally.firstFailure ?? ''}`);
      fail(
        tally.repeated > 0,
        `${stage}: ${grouped(tally.repeated)} items were shown that the reader had just read`,
      );
      const late = tally.clickMs.filter((ms) => ms > CLICK_MS_MAX).length;
      fail(late > 0, `${stage}: ${grouped(late)} clicks did not count within ${String(CLICK_MS_MAX)} ms`);
      fail(tally.visits === 0, `${stage}: nobody came`);
      fail(
        this.#options.data === undefined && tally.expected <= tally.expectedPopular,
        `${stage}: the most popular items would have been opened as often`,
      );
    }
    const taste = this.#stages.find(({ stage }) => stage === TASTE_STAGE);
    fail(
      taste !== undefined && this.#options.data === undefined && taste.expectedPer100 <= taste.shelfPer100,
      'with the new feature no more is opened than of the shelf in its own order',
    );
    fail(
      this.#tallies.every(({ clickMs }) => clickMs.length === 0),
      'no click was looked at',
    );
  }
}
