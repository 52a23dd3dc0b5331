import { DAY_MS, RandomStream } from '@tandem-examples/driver';
import type { Find, Item, Visit, World } from './world.ts';

/** Size of the made-up shop. */
export interface BookshopSize {
  readonly books: number;
  readonly readers: number;
  /** Days of history before the first visit. */
  readonly historyDays: number;
  /** Visits of a reader on a day, on average. */
  readonly visitsPerDay: number;
}

const SIZE: BookshopSize = { books: 400, readers: 800, historyDays: 45, visitsPerDay: 0.35 };
const GENRES = ['crime', 'essays', 'fantasy', 'history', 'nature', 'poetry', 'romance', 'travel'];
const YEARS = [1950, 2025] as const;
/** The first day of the history. */
const START_MS = Date.UTC(2026, 0, 5);

/** What is drawn of a random stream, so that no two purposes share numbers. */
const PURPOSE = { book: 1, reader: 2, hot: 3, day: 4, click: 5, find: 6 } as const;

/** How much what counts, in log odds of a click. */
const CLICK = { base: -4.6, genre: 0.9, year: 2.6, quality: 0.4, hot: 1.5 } as const;
/** Books that a reader comes across in a visit without us, and how many of them are opened on average. */
const ACROSS = 40;
const FINDS = 1.6;
/** Where the next place is seen this much less often. */
const PLACE_STEP = 0.12;

interface Book extends Item {
  readonly genreIndex: number;
  readonly quality: number;
}

interface Reader {
  /** By genre, about 0. */
  readonly genres: readonly number[];
  readonly year: number;
  /** How far from that year still is near. */
  readonly reach: number;
}

/**
 * A bookshop that does not exist. Readers like some genres and the books of some years; books are good or not so good, and for some
 * days talked about.
 */
export class Bookshop implements World {
  readonly title: string;
  readonly items: readonly Item[];
  readonly startMs = START_MS;
  readonly openMs: number;
  readonly #seed: number;
  readonly #size: BookshopSize;
  readonly #books: readonly Book[];
  readonly #readers: readonly Reader[];
  readonly #bookOf: ReadonlyMap<string, number>;

  constructor(seed: number, size: BookshopSize = SIZE) {
    this.#seed = seed;
    this.#size = size;
    this.#books = Array.from({ length: size.books }, (_, index) => this.#makeBook(index));
    this.#readers = Array.from({ length: size.readers }, (_, index) => this.#makeReader(index));
    this.#bookOf = new Map(this.#books.map(({ itemId }, index) => [itemId, index]));
    this.items = this.#books.map(({ itemId, genre, year }) => ({ itemId, genre, year }));
    this.openMs = START_MS + size.historyDays * DAY_MS;
    this.title = `a bookshop with ${String(size.books)} books and ${String(size.readers)} readers`;
  }

  *history(): Iterable<Find> {
    for (const visit of this.visits(this.startMs)) {
      if (visit.at >= this.openMs) return;
      for (const [place, itemId] of this.found(visit).entries())
        yield { userId: visit.userId, itemId, at: visit.at + place };
    }
  }

  *visits(fromMs: number): Iterable<Visit> {
    for (let day = Math.floor((fromMs - START_MS) / DAY_MS); ; day += 1) {
      for (const visit of this.#visitsOf(day)) if (visit.at >= fromMs) yield visit;
    }
  }

  clicked(visit: Visit, shown: readonly string[]): readonly string[] {
    const random = this.#stream(PURPOSE.click, visit);
    // One draw for each book of the shop: whether a book is wanted does not depend on where it stands.
    const draws = this.#books.map(() => random.uniform());
    return shown.filter((itemId, place) => {
      const index = this.#bookOf.get(itemId);
      return index !== undefined && (draws[index] ?? 1) < this.#chance(visit, index, place);
    });
  }

  found(visit: Visit): readonly string[] {
    const random = this.#stream(PURPOSE.find, visit);
    const across = random.sample(this.#books.length, Math.min(ACROSS, this.#books.length));
    const chances = across.map((index) => this.#chance(visit, index, 0));
    const scale = FINDS / chances.reduce((sum, chance) => sum + chance, 0);
    const opened = across.filter((_, place) => random.uniform() < scale * (chances[place] ?? 0));
    return opened.map((index) => this.#books[index]?.itemId ?? '');
  }

  expected(visit: Visit, shown: readonly string[]): number {
    return shown.reduce((sum, itemId, place) => {
      const index = this.#bookOf.get(itemId);
      return index === undefined ? sum : sum + this.#chance(visit, index, place);
    }, 0);
  }

  #chance(visit: Visit, index: number, place: number): number {
    const book = this.#books[index];
    const reader = this.#readers[readerOf(visit)];
    if (book === undefined || reader === undefined) return 0;
    const far = (book.year - reader.year) / reader.reach;
    const logit =
      CLICK.base +
      CLICK.genre * (reader.genres[book.genreIndex] ?? 0) +
      CLICK.year * Math.exp(-far * far) +
      CLICK.quality * book.quality +
      CLICK.hot * this.#heat(index, visit.at);
    return 1 / (1 + Math.exp(-logit)) / (1 + PLACE_STEP * place);
  }

  /** How much a book is talked about: for three days at a time, most are not. */
  #heat(index: number, at: number): number {
    const period = Math.floor((at - START_MS) / (3 * DAY_MS));
    const random = new RandomStream(this.#seed, PURPOSE.hot, index, period);
    return Math.max(0, random.normal(-1, 1.2));
  }

  #visitsOf(day: number): Visit[] {
    const { readers, visitsPerDay } = this.#size;
    const random = new RandomStream(this.#seed, PURPOSE.day, day);
    const visits: Visit[] = [];
    for (let reader = 0; reader < readers; reader += 1) {
      const count = random.poisson(visitsPerDay);
      for (let number = 0; number < count; number += 1) {
        const at = START_MS + day * DAY_MS + random.integer(DAY_MS);
        const userId = `reader-${String(reader)}`;
        visits.push({ visitId: `visit-${String(day)}-${String(reader)}-${String(number)}`, userId, at });
      }
    }
    return visits.sort((a, b) => a.at - b.at);
  }

  #makeBook(index: number): Book {
    const random = new RandomStream(this.#seed, PURPOSE.book, index);
    const genreIndex = random.integer(GENRES.length);
    const [first, end] = YEARS;
    return {
      itemId: `book-${String(index)}`,
      genre: GENRES[genreIndex] ?? '',
      genreIndex,
      year: first + random.integer(end - first),
      quality: random.normal(0, 1),
    };
  }

  #makeReader(index: number): Reader {
    const random = new RandomStream(this.#seed, PURPOSE.reader, index);
    return {
      genres: GENRES.map(() => random.normal(0, 1)),
      year: Math.min(Math.max(random.normal(1990, 20), YEARS[0]), YEARS[1]),
      reach: random.between(6, 20),
    };
  }

  #stream(purpose: number, visit: Visit): RandomStream {
    return new RandomStream(this.#seed, purpose, readerOf(visit), visit.at);
  }
}

function readerOf({ userId }: Visit): number {
  return Number(userId.slice('reader-'.length));
}
