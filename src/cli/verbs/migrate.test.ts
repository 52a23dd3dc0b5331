import { afterEach, describe, expect, it, vi } from 'vitest';
import { administrate, freshDatabase } from '../../../test/conformance/embedded-server.ts';
import { readSettings, SERVICES } from '../settings.ts';
import { main } from '../program.ts';
import { migrate } from './migrate.ts';

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

interface Result {
  readonly services: readonly { service: string; steps: number }[];
}

async function run(url: string): Promise<Result> {
  let result: Result | undefined;
  await migrate(readSettings({ process: { databaseUrl: url, logLevel: 'silent' } }, {}), {
    json: true,
    isWatched: false,
    result: (value) => void (result = value as Result),
    note: () => undefined,
    progress: () => undefined,
    endProgress: () => undefined,
    style: (_style, text) => text,
  });
  if (result === undefined) throw new Error('it said nothing');
  return result;
}

describe('tandem migrate', () => {
  it('brings the tables of every service up to date, however many run at a time and how often', async () => {
    await using database = await freshDatabase();
    const steps = async (): Promise<unknown> =>
      administrate(
        database.url,
        'select owner, count(*)::int as steps, max(applied_at) as last from tandem_migration group by owner order by owner',
      );
    const results = await Promise.all([run(database.url), run(database.url), run(database.url)]);
    for (const { services } of results) {
      expect(services.map(({ service }) => service)).toEqual(SERVICES.map(({ name }) => name));
    }
    const landed = await steps();
    for (const { migrations } of SERVICES) {
      if (migrations.migrations.length === 0) continue;
      expect(landed).toContainEqual(
        expect.objectContaining({ owner: migrations.owner, steps: migrations.migrations.length }),
      );
    }
    await run(database.url);
    expect(await steps()).toEqual(landed);
  });

  it('wants a database of its own', async () => {
    const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    vi.stubEnv('DATABASE_URL', '');
    expect(await main(['migrate'])).toBe(2);
    expect(String(write.mock.calls[0]?.[0])).toContain('DATABASE_URL: expected the address of a PostgreSQL');
  });
});
