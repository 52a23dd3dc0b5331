import { type Positions, type RunTools, laterPositions } from '@tandem-examples/driver';
import type { Item, Visit, World } from '../world.ts';

/** Sources of the app. */
export const SOURCES = { items: 'items', impressions: 'impressions', clicks: 'clicks' } as const;
export const RECOMMENDATION = 'for_you';
/** The shelf's own order. */
export const BY_SHELF = 'by_shelf';

/** Records of one request. */
const BATCH_RECORDS = 2_000;

/** What the shop shows: the answer of the product. */
export interface Shown {
  readonly recommendationId: string;
  readonly release: string;
  readonly items: readonly {
    readonly item: string;
    readonly impressionId: string;
    readonly score: number;
    readonly candidateScore: number;
  }[];
  readonly fallback: string | null;
}

/** A click as a record. */
export interface Click {
  readonly userId: string;
  readonly itemId: string;
  readonly at: number;
  /** Undefined: found in another way. */
  readonly impressionId?: string;
}

/** What the shop's own program does: lists items, shows what is recommended, and tells what was shown and opened. */
export class ShopFloor {
  readonly #platform: RunTools['platform'];
  readonly #yearOf: ReadonlyMap<string, number>;
  /** What has been sent is to be read at least as far as this. */
  positions: Positions = {};
  sent = 0;
  refused = 0;
  firstRefusal: string | undefined;
  #clicks = 0;

  constructor(platform: RunTools['platform'], world: World) {
    this.#platform = platform;
    this.#yearOf = new Map(world.items.map(({ itemId, year }) => [itemId, year]));
  }

  async list(items: readonly Item[], at: number): Promise<void> {
    await this.#send(
      SOURCES.items,
      items.map((item) => ({ listingId: `listing-${item.itemId}`, at, ...item })),
    );
  }

  async tellClicks(clicks: readonly Click[]): Promise<void> {
    await this.#send(
      SOURCES.clicks,
      clicks.map(({ userId, itemId, at, impressionId = 'none' }) => ({
        clickId: `click-${String(at)}-${String(this.#clicks++)}`,
        at,
        userId,
        itemId,
        impressionId,
        year: this.#yearOf.get(itemId) ?? 0,
      })),
    );
  }

  async tellShown(visit: Visit, { items }: Shown): Promise<void> {
    const { visitId, userId, at } = visit;
    await this.#send(
      SOURCES.impressions,
      items.map(({ item, impressionId, candidateScore }) => ({
        impressionId,
        at,
        visitId,
        userId,
        itemId: item,
        candidateScore,
      })),
    );
  }

  recommend({ visitId, userId, at }: Visit, recommendation: string = RECOMMENDATION): Promise<Shown> {
    return this.#platform.recommend(recommendation, JSON.stringify({ request: { visitId, userId, at } }));
  }

  async #send(source: string, records: readonly object[]): Promise<void> {
    for (let from = 0; from < records.length; from += BATCH_RECORDS) {
      const batch = records.slice(from, from + BATCH_RECORDS).map((record) => JSON.stringify(record));
      const answer = await this.#platform.ingest(source, batch);
      this.positions = laterPositions(this.positions, answer.positions);
      this.sent += batch.length;
      this.refused += answer.quarantined;
      this.firstRefusal ??= answer.results[0]?.reason;
    }
  }
}
