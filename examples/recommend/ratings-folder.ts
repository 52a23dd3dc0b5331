import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DAY_MS } from '@tandem-examples/driver';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import type { Find, Item, Visit, World } from './world.ts';

/** Ratings from here on say that somebody liked something. */
const LIKED_MIN = 4;
/** Share of the ratings, by time, that is history. */
const HISTORY_SHARE = 0.8;
/** Into so many days the ratings are laid, evenly: those that were published lie years apart, and then hundreds in an hour. */
const HISTORY_DAYS = 45;
const LIVE_DAYS = 8;
/** Ratings of a user that make a visit. */
const VISIT_FINDS = 5;
const START_MS = Date.UTC(2026, 0, 5);
/** Memory for reading the files, as DuckDB writes it. */
const MEMORY_MAX = '512MB';
const UNKNOWN_GENRE = 'unknown';

/** Something is wrong with the folder; the message says with which file, and what was expected. */
export class RatingsFolderError extends Error {
  override readonly name = 'RatingsFolderError';
}

interface Rating extends Find {
  readonly genre: string;
  readonly year: number;
}

/**
 * A folder in MovieLens' format, as CSV or gzipped CSV:
 * - `ratings*.csv`: userId, movieId, rating, timestamp (seconds since 1970 UTC);
 * - `movies*.csv` (may be absent): movieId, title with the year in brackets at its end, genres with `|` in between.
 *
 * A rating of 4 or more is a find. In the order of their times the first 80 % are history; the others come in visits of five. A user
 * opens what is shown if it is among the finds of this and later visits.
 */
export class RatingsFolder implements World {
  readonly title: string;
  readonly items: readonly Item[];
  readonly startMs = START_MS;
  readonly openMs = START_MS + HISTORY_DAYS * DAY_MS;
  readonly #history: readonly Find[];
  readonly #visits: readonly Visit[];
  /** By user: live finds, in the order of time. */
  readonly #live = new Map<string, Find[]>();

  private constructor(path: string, ratings: readonly Rating[]) {
    const known = new Map<string, Item>();
    for (const { itemId, genre, year } of ratings)
      if (!known.has(itemId)) known.set(itemId, { itemId, genre, year });
    this.items = [...known.values()];
    const split = Math.floor(ratings.length * HISTORY_SHARE);
    this.#history = spread(ratings.slice(0, split), this.startMs, HISTORY_DAYS);
    const live = spread(ratings.slice(split), this.openMs, LIVE_DAYS);
    const visits: Visit[] = [];
    for (const find of live) {
      const finds = this.#live.get(find.userId) ?? [];
      this.#live.set(find.userId, finds);
      if (finds.length % VISIT_FINDS === 0) {
        const visitId = `visit-${find.userId}-${String(finds.length / VISIT_FINDS)}`;
        visits.push({ visitId, userId: find.userId, at: find.at });
      }
      finds.push(find);
    }
    this.#visits = visits;
    const users = new Set(ratings.map(({ userId }) => userId));
    this.title = `${String(ratings.length)} ratings of ${String(LIKED_MIN)} or more by ${String(users.size)} users in ${path}`;
  }

  /** Reads the folder. Rejects with RatingsFolderError. */
  static async open(path: string): Promise<RatingsFolder> {
    const names = await readdir(path).catch(() => {
      throw new RatingsFolderError(`There is no folder ${path}`);
    });
    const find = (name: string): string | undefined =>
      names.find((file) => file.startsWith(name) && /\.csv(\.gz)?$/.test(file));
    const ratings = find('ratings');
    if (ratings === undefined) {
      throw new RatingsFolderError(`${path} has no ratings.csv with userId, movieId, rating, timestamp`);
    }
    const movies = find('movies');
    const rows = await readRatings(
      join(path, ratings),
      movies === undefined ? undefined : join(path, movies),
    );
    if (rows.length < 1_000) {
      throw new RatingsFolderError(
        `${join(path, ratings)} has ${String(rows.length)} ratings of ${String(LIKED_MIN)} or more: at least 1,000 are needed`,
      );
    }
    return new RatingsFolder(path, rows);
  }

  history(): Iterable<Find> {
    return this.#history;
  }

  visits(fromMs: number): Iterable<Visit> {
    return this.#visits.filter(({ at }) => at >= fromMs);
  }

  clicked(visit: Visit, shown: readonly string[]): readonly string[] {
    const wanted = new Set(
      (this.#live.get(visit.userId) ?? []).flatMap(({ itemId, at }) => (at >= visit.at ? [itemId] : [])),
    );
    return shown.filter((itemId) => wanted.has(itemId));
  }

  found(visit: Visit): readonly string[] {
    const live = this.#live.get(visit.userId) ?? [];
    const first = live.findIndex(({ at }) => at >= visit.at);
    return first < 0 ? [] : live.slice(first, first + VISIT_FINDS).map(({ itemId }) => itemId);
  }

  expected(visit: Visit, shown: readonly string[]): number {
    return this.clicked(visit, shown).length;
  }
}

/** Lays finds evenly into days. */
function spread(finds: readonly Find[], fromMs: number, days: number): Find[] {
  const stepMs = (days * DAY_MS) / Math.max(1, finds.length);
  return finds.map(({ userId, itemId }, index) => ({
    userId,
    itemId,
    at: fromMs + Math.floor(index * stepMs),
  }));
}

async function readRatings(ratings: string, movies: string | undefined): Promise<Rating[]> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1', memory_limit: MEMORY_MAX });
  const connection = await instance.connect();
  try {
    return await query(connection, ratings, movies);
  } catch (error) {
    if (error instanceof RatingsFolderError) throw error;
    const what = 'userId, movieId, rating, timestamp; in movies.csv movieId, title, genres';
    throw new RatingsFolderError(`${ratings} cannot be read, expected ${what}: ${(error as Error).message}`);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

async function query(
  connection: DuckDBConnection,
  ratings: string,
  movies: string | undefined,
): Promise<Rating[]> {
  const csv = (path: string): string => `read_csv('${path.replaceAll("'", "''")}', header = true)`;
  const facts =
    movies === undefined
      ? `select movieId, null as genre, null as year from ${csv(ratings)} group by movieId`
      : `select movieId, split_part(genres, '|', 1) as genre,
           try_cast(regexp_extract(title, '\\((\\d{4})\\)\\s*$', 1) as integer) as year from ${csv(movies)}`;
  const result = await connection.runAndReadAll(
    `with liked as (select * from ${csv(ratings)} where rating >= ${String(LIKED_MIN)}),
       first_seen as (select movieId, min(year(to_timestamp(timestamp))) as year from liked group by movieId)
     select liked.userId::varchar, liked.movieId::varchar, coalesce(facts.genre, '${UNKNOWN_GENRE}'),
       coalesce(facts.year, first_seen.year)::integer
     from liked join first_seen using (movieId) left join (${facts}) facts using (movieId)
     order by liked.timestamp, liked.userId, liked.movieId`,
  );
  return result.getRows().map(([userId, itemId, genre, year]) => ({
    userId: `user-${String(userId)}`,
    itemId: `movie-${String(itemId)}`,
    genre: String(genre),
    year: Number(year),
    at: 0,
  }));
}
