import { Latencies, type RunTools } from '@tandem-examples/driver';
import type { Visit, World } from '../world.ts';
import { BY_SHELF, type Click, type ShopFloor, type Shown } from './shop-floor.ts';

/** A user's latest clicks that are never shown again: as many as the recommender reads. */
const RECENT = 50;
/** Places of the shelf. */
const PLACES = 20;
/** Every so many visits with a click it is looked how soon the click counts. */
const CLICKS_PER_LOOK = 20;
/** A click counts in an answer that is asked for within so long, in milliseconds. */
export const CLICK_MS_MAX = 1_000;
/** Between two clicks of a visit, and from its begin to the next look of the same reader, in milliseconds of simulated time. */
const CLICK_STEP_MS = 5_000;
const LOOK_AGAIN_MS = (PLACES + 1) * CLICK_STEP_MS;

/** What came of some visits. */
export interface Tally {
  visits: number;
  failed: number;
  firstFailure: string | undefined;
  /** Answers of the most popular items, for want of anything better. */
  fallbacks: number;
  shown: number;
  clicks: number;
  /** Clicks to expect of what was shown, and of the most popular items in its place. */
  expected: number;
  expectedPopular: number;
  /** Of what the shelf would have shown in its own order; the same as `expected` before there is a ranker. */
  expectedShelf: number;
  /** Items that the reader has just read. */
  repeated: number;
  readonly releases: Map<string, number>;
  readonly latencies: Latencies;
  /** From a click that was sent to an answer that knows of it, in milliseconds. */
  readonly clickMs: number[];
}

export function emptyTally(): Tally {
  return {
    visits: 0,
    failed: 0,
    firstFailure: undefined,
    fallbacks: 0,
    shown: 0,
    clicks: 0,
    expected: 0,
    expectedPopular: 0,
    expectedShelf: 0,
    repeated: 0,
    releases: new Map(),
    latencies: new Latencies(),
    clickMs: [],
  };
}

/** Readers who come by: they are shown something, open some of it, and read what they would have read anyway. */
export class Visitors {
  readonly #world: World;
  readonly #floor: ShopFloor;
  readonly #timeline: RunTools['timeline'];
  /** By user: the latest clicks, the last one last, and when they were told, by the clock on the wall. */
  readonly #read = new Map<string, (Click & { readonly toldAt: number })[]>();
  readonly #popularity = new Map<string, number>();
  #ranking: readonly string[] | undefined;
  #looks = 0;
  /** Ids of some recommendations, spread over all. */
  readonly samples: string[] = [];

  constructor(world: World, floor: ShopFloor, timeline: RunTools['timeline']) {
    this.#world = world;
    this.#floor = floor;
    this.#timeline = timeline;
  }

  /** Takes in what readers opened before, or outside. */
  note(clicks: readonly Click[]): void {
    const toldAt = performance.now();
    for (const click of clicks) {
      const { userId, itemId } = click;
      const read = this.#read.get(userId) ?? [];
      this.#read.set(userId, read);
      read.push({ ...click, toldAt });
      if (read.length > RECENT) read.shift();
      this.#popularity.set(itemId, (this.#popularity.get(itemId) ?? 0) + 1);
    }
    this.#ranking = undefined;
  }

  /** One visit, from the shelf to the last click. */
  async serve(visit: Visit, tally: Tally): Promise<void> {
    const shown = await this.#show(visit, tally);
    const own = this.#world.found(visit).map((itemId, place): Click => {
      return { userId: visit.userId, itemId, at: visit.at + (PLACES + 1 + place) * CLICK_STEP_MS };
    });
    if (shown === undefined) {
      await this.#tell(own);
      return;
    }
    const items = shown.items.map(({ item }) => item);
    const opened = new Set(this.#world.clicked(visit, items));
    await this.#floor.tellShown(visit, shown);
    const clicks = shown.items.flatMap(({ item, impressionId }, place): Click[] => {
      const at = visit.at + (1 + place) * CLICK_STEP_MS;
      return opened.has(item) ? [{ userId: visit.userId, itemId: item, at, impressionId }] : [];
    });
    tally.clicks += clicks.length;
    tally.expected += this.#world.expected(visit, items);
    tally.expectedPopular += this.#world.expected(visit, this.#popularFor(visit));
    tally.expectedShelf += await this.#expectedByShelf(visit);
    if (clicks.length > 0) {
      await this.#tell(clicks);
      this.#looks += 1;
      if (this.#looks % CLICKS_PER_LOOK === 1) await this.#lookAgain(visit, clicks, tally);
    }
    await this.#tell(own);
  }

  async #show(visit: Visit, tally: Tally): Promise<Shown | undefined> {
    tally.visits += 1;
    const began = performance.now();
    let shown: Shown;
    try {
      shown = await this.#floor.recommend(visit);
    } catch (error) {
      tally.failed += 1;
      tally.firstFailure ??= error instanceof Error ? error.message : String(error);
      return undefined;
    }
    tally.latencies.add(performance.now() - began);
    tally.shown += shown.items.length;
    tally.fallbacks += shown.fallback === null ? 0 : 1;
    tally.releases.set(shown.release, (tally.releases.get(shown.release) ?? 0) + 1);
    const read = this.#readBefore(visit, began - CLICK_MS_MAX);
    tally.repeated += shown.items.filter(({ item }) => read.has(item)).length;
    if (tally.visits % 50 === 1) this.samples.push(shown.recommendationId);
    return shown;
  }

  async #expectedByShelf(visit: Visit): Promise<number> {
    const own = await this.#floor.recommend({ ...visit, visitId: `${visit.visitId}-own` }, BY_SHELF);
    return this.#world.expected(
      visit,
      own.items.map(({ item }) => item),
    );
  }

  /** The reader looks at the shelf once more: what was opened must not stand there any more. */
  async #lookAgain(visit: Visit, clicks: readonly Click[], tally: Tally): Promise<void> {
    const began = performance.now();
    const opened = new Set(clicks.map(({ itemId }) => itemId));
    for (let look = 1; performance.now() - began < 3 * CLICK_MS_MAX; look += 1) {
      const again = { ...visit, visitId: `${visit.visitId}-${String(look)}`, at: visit.at + LOOK_AGAIN_MS };
      const { items } = await this.#floor.recommend(again);
      if (items.some(({ item }) => opened.has(item))) continue;
      tally.clickMs.push(performance.now() - began);
      return;
    }
    tally.clickMs.push(Number.POSITIVE_INFINITY);
    this.#timeline.say(
      'click',
      `the click of ${visit.userId} does not count after ${String(3 * CLICK_MS_MAX)} ms`,
    );
  }

  async #tell(clicks: readonly Click[]): Promise<void> {
    if (clicks.length === 0) return;
    await this.#floor.tellClicks(clicks);
    this.note(clicks);
  }

  /**
   * What a reader has opened lately, and was told before `toldBefore`. A visit that comes within two minutes of another knows only of
   * what was opened until then.
   */
  #readBefore({ userId, at }: Visit, toldBefore = Number.POSITIVE_INFINITY): ReadonlySet<string> {
    const read = this.#read.get(userId) ?? [];
    const before = read.filter((click) => click.at < at && click.toldAt < toldBefore);
    return new Set(before.map(({ itemId }) => itemId));
  }

  #popularFor(visit: Visit): readonly string[] {
    this.#ranking ??= [...this.#popularity].sort(([, a], [, b]) => b - a).map(([itemId]) => itemId);
    const read = this.#readBefore(visit);
    const popular: string[] = [];
    for (const itemId of this.#ranking) {
      if (popular.length === PLACES) break;
      if (!read.has(itemId)) popular.push(itemId);
    }
    return popular;
  }
}
