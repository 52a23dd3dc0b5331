import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readState } from '../../src/cli/supervisor/state-file.ts';
import { routes, type Schedule } from '../../src/contract/index.ts';
import { Platform } from '../chaos/support/platform.ts';
import { sendHistory } from '../chaos/support/releases.ts';
import { Requests } from '../chaos/support/requests.ts';
import { makeTarget } from '../chaos/support/target.ts';
import { gatewayTarget } from '../support/gateway-target.ts';
import { ROOT } from '../tidy/tree.ts';

const APP = join(ROOT, 'test/system/fixtures/scheduled/app.ts');
/** A machine may be busy. */
const PATIENCE = { timeout: 150_000, interval: 250 };

it('a model is trained when it is due, although train sleeps; paused it is not', async () => {
  await using platform = await Platform.start({ app: APP, note: () => undefined });
  await using requests = new Requests(await makeTarget(gatewayTarget(platform.dataDir)));
  await sendHistory(requests, 3);
  const sleeps = async (): Promise<boolean> => (await platform.processes('train')).length === 0;
  // These ask the registry: nobody asks train, which would wake it.
  const runs = async (): Promise<string[]> => {
    const found = await requests.call(routes.listVersions, {
      params: { model: 'returning' },
      query: { limit: 100 },
    });
    return found.versions.map(({ lineage }) => lineage.run);
  };
  const schedule = async (...verb: string[]): Promise<Schedule> => {
    const { code, out, err } = await platform.tandem('schedules', ...verb, '--json');
    expect(code, err).toBe(0);
    const said = JSON.parse(out) as Schedule | readonly [Schedule];
    return 'model' in said ? said : said[0];
  };

  await expect.poll(sleeps, PATIENCE).toBe(true);
  const before = (await runs()).length;
  await expect.poll(async () => (await runs()).length, PATIENCE).toBeGreaterThan(before);
  const woken = (await readState(platform.dataDir))?.services.train.changed;
  expect(woken?.reason).toMatch(/a call waits for it|open jobs|nothing to do/);

  const paused = await schedule('pause', 'returning');
  expect(paused.pausedAt).not.toBeNull();
  expect(paused.lastRun).toMatchObject({ reason: 'scheduled', model: 'returning' });
  expect(await schedule()).toMatchObject({ pausedAt: paused.pausedAt });
  await expect.poll(async () => (await schedule()).lastRun?.state, PATIENCE).toBe('done');
  const made = (await runs()).length;
  // Paused it queues nothing at the next due instant, and goes to sleep.
  const { nextDueAt } = (await schedule()).rules[0] ?? {};
  await expect.poll(sleeps, PATIENCE).toBe(true);
  await expect.poll(() => Date.now() > (nextDueAt ?? 0) + 3_000, PATIENCE).toBe(true);
  await expect.poll(sleeps, PATIENCE).toBe(true);
  expect((await runs()).length).toBe(made);

  expect(await schedule('resume', 'returning')).toMatchObject({ pausedAt: null });
  await expect.poll(sleeps, PATIENCE).toBe(true);
  await expect
    .poll(async () => (await schedule()).lastRun?.id !== paused.lastRun?.id, { ...PATIENCE, interval: 5_000 })
    .toBe(true);
  const listed = await platform.tandem('schedules');
  expect(listed.out).toMatch(/MODEL\s+RULE\s+LAST DUE\s+NEXT DUE\s+LAST RUN\s+STATE\nreturning\s+every 40s /);
}, 600_000);
