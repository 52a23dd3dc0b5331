import { describe, expect, it } from 'vitest';
import { DAY_MS } from '@tandem-examples/driver';
import { Bookshop } from './bookshop.ts';
import type { Visit } from './world.ts';

const SIZE = { books: 60, readers: 40, historyDays: 10, visitsPerDay: 0.5 };

function visitsUntil(shop: Bookshop, untilMs: number): Visit[] {
  const visits: Visit[] = [];
  for (const visit of shop.visits(shop.openMs)) {
    if (visit.at >= untilMs) break;
    visits.push(visit);
  }
  return visits;
}

describe('Bookshop', () => {
  const shop = new Bookshop(7, SIZE);
  const visits = visitsUntil(shop, shop.openMs + 2 * DAY_MS);
  const books = shop.items.map(({ itemId }) => itemId);

  it('is the same with the same seed, and another with another', () => {
    const again = new Bookshop(7, SIZE);
    expect([...again.history()]).toEqual([...shop.history()]);
    expect(visitsUntil(again, shop.openMs + 2 * DAY_MS)).toEqual(visits);
    expect([...new Bookshop(8, SIZE).history()]).not.toEqual([...shop.history()]);
  });

  it('goes on at any instant as if it had been followed from the start', () => {
    const from = visits[20]?.at ?? 0;
    const [first] = shop.visits(from);
    expect(first).toEqual(visits.find(({ at }) => at >= from));
  });

  it('tells finds in the order of time, before it opens, of books that it has', () => {
    const finds = [...shop.history()];
    expect(finds.length).toBeGreaterThan(200);
    expect(finds.map(({ at }) => at)).toEqual(finds.map(({ at }) => at).sort((a, b) => a - b));
    expect(finds.every(({ at, itemId }) => at < shop.openMs + DAY_MS && books.includes(itemId))).toBe(true);
  });

  it('opens as much of what is shown as is to be expected, and the wanted before the unwanted', () => {
    const chance = (visit: Visit, itemId: string): number => shop.expected(visit, [itemId]);
    let [opened, expected, best, worst] = [0, 0, 0, 0];
    for (const visit of visits) {
      const liked = books.toSorted((a, b) => chance(visit, b) - chance(visit, a));
      const [top, bottom] = [liked.slice(0, 20), liked.slice(-20)];
      opened += shop.clicked(visit, top).length;
      expected += shop.expected(visit, top);
      best += shop.expected(visit, top);
      worst += shop.expected(visit, bottom);
    }
    // Its standard deviation is below the root of the expected number.
    expect(Math.abs(opened - expected)).toBeLessThan(4 * Math.sqrt(expected));
    expect(best).toBeGreaterThan(5 * worst);
  });

  it('lets the place decide only whether a book is seen', () => {
    for (const visit of visits) {
      const shown = books.slice(0, 10);
      const first = shop.clicked(visit, shown);
      const later = shop.clicked(visit, [...books.slice(10, 20), ...shown]);
      expect(first).toEqual(expect.arrayContaining(later.filter((itemId) => shown.includes(itemId))));
    }
  });
});
