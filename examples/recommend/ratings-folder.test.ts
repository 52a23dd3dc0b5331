import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RatingsFolder } from './ratings-folder.ts';

/** 40 users who like 30 of 50 movies each; every fourth rating is below 4. */
function ratings(): string {
  const lines = ['userId,movieId,rating,timestamp'];
  for (let user = 1; user <= 40; user += 1) {
    for (let place = 0; place < 40; place += 1) {
      const movie = 1 + ((user * 7 + place * 11) % 50);
      lines.push(
        `${String(user)},${String(movie)},${place % 4 === 3 ? '3.5' : '4.0'},${String(1_000_000_000 + place * 1_000 + user)}`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

describe('RatingsFolder', () => {
  let folder = '';

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tandem-ratings-'));
    await writeFile(join(folder, 'ratings.csv'), ratings());
    await writeFile(
      join(folder, 'movies.csv'),
      'movieId,title,genres\n1,"Hour, The (1994)",Drama|Crime\n2,Nameless,(no genres listed)\n',
    );
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('lays four fifths of what was liked into history, and the rest into visits of five finds', async () => {
    const world = await RatingsFolder.open(folder);
    const history = [...world.history()];
    const visits = [...world.visits(world.openMs)];
    expect(history).toHaveLength(960);
    expect(history.every(({ at }) => at >= world.startMs && at < world.openMs)).toBe(true);
    const found = visits.flatMap((visit) => world.found(visit));
    expect(found).toHaveLength(240);
    expect(visits.every((visit) => world.found(visit).length <= 5 && visit.at >= world.openMs)).toBe(true);
  });

  it('knows genre and year of a movie from its title, and else the year of its first rating', async () => {
    const { items } = await RatingsFolder.open(folder);
    expect(items.find(({ itemId }) => itemId === 'movie-1')).toMatchObject({ genre: 'Drama', year: 1994 });
    expect(items.find(({ itemId }) => itemId === 'movie-2')).toMatchObject({ year: 2001 });
    expect(items.find(({ itemId }) => itemId === 'movie-3')).toMatchObject({ genre: 'unknown', year: 2001 });
  });

  it('opens of what is shown only what the user is still to find', async () => {
    const world = await RatingsFolder.open(folder);
    const [visit] = world.visits(world.openMs);
    if (visit === undefined) throw new Error('nobody came');
    const [next = ''] = world.found(visit);
    const never = world.items.find(({ itemId }) => world.clicked(visit, [itemId]).length === 0)?.itemId ?? '';
    expect(world.clicked(visit, [never, next])).toEqual([next]);
    expect(world.expected(visit, [never, next])).toBe(1);
  });

  it('says what it expects of a folder', async () => {
    await expect(RatingsFolder.open(join(folder, 'nowhere'))).rejects.toThrow(/no folder/);
    const other = await mkdtemp(join(tmpdir(), 'tandem-ratings-'));
    await expect(RatingsFolder.open(other)).rejects.toThrow(/no ratings.csv with userId/);
    await writeFile(join(other, 'ratings.csv'), 'userId,movieId\n1,2\n');
    await expect(RatingsFolder.open(other)).rejects.toThrow(/cannot be read, expected userId/);
    await writeFile(join(other, 'ratings.csv'), 'userId,movieId,rating,timestamp\n1,2,5,3\n');
    await expect(RatingsFolder.open(other)).rejects.toThrow(/has 1 ratings of 4 or more/);
    await rm(other, { recursive: true });
  });
});
