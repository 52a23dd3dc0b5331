import { join } from 'node:path';
import { expect, it } from 'vitest';
import { routes } from '../../src/contract/index.ts';
import { Platform } from '../chaos/support/platform.ts';
import { finishRun, sendHistory, startRun } from '../chaos/support/releases.ts';
import { Requests } from '../chaos/support/requests.ts';
import { makeTarget } from '../chaos/support/target.ts';
import { gatewayTarget } from '../support/gateway-target.ts';
import { ROOT } from '../tidy/tree.ts';

const APP = join(ROOT, 'test/system/fixtures/searched/app.ts');
/** A machine may be busy. */
const PATIENCE = { timeout: 150_000, interval: 100 };

it('a search is shared by the processes of train, outlives one of them, and is shown', async () => {
  await using platform = await Platform.start({ app: APP, replicas: { train: 2 }, note: () => undefined });
  await using requests = new Requests(await makeTarget(gatewayTarget(platform.dataDir)));
  await sendHistory(requests, 3);
  const { id } = await startRun(requests, 'search');
  const search = async () => (await requests.call(routes.getRun, { params: { id } })).search;
  await expect.poll(async () => (await search())?.trials.done, PATIENCE).toBeGreaterThan(2);
  const [victim] = await platform.living('train');
  expect(victim).toBeDefined();
  process.kill(victim?.pid ?? 0, 'SIGKILL');
  const run = await finishRun(requests, id);
  expect(run.search).toMatchObject({ state: 'done', trials: { planned: 12, done: 12, failed: 0 } });
  expect(run.version).toBe(1);

  const version = await requests.call(routes.getVersion, { params: { model: 'returning', version: 1 } });
  const { parameters } = run.search?.best ?? {};
  expect(version.lineage.search).toMatchObject({ metric: 'aucRoc', parameters });
  expect(version.lineage.trainer).toMatchObject({ kind: 'gbdt', rounds: 30, ...parameters });

  const table = await platform.tandem('search', id);
  expect(table.code, table.err).toBe(0);
  expect(table.out).toMatch(/^tpe: 12 of 12 trials done, 0 failed; judged by aucRoc, /);
  expect(table.out).toContain('| rank | trial | learningRate | depthMax | aucRoc | spread |');
  const picture = await platform.tandem('search', id, '--form', 'picture');
  expect(picture.out).toMatch(/^<svg [^]*<\/svg>\n$/);
  const unknown = await platform.tandem('search', 'none');
  expect(unknown.code).not.toBe(0);
  expect(unknown.err).toContain('RUN_NOT_FOUND');
  const card = await platform.tandem('card', 'returning');
  expect(card.out).toContain('## How its options were chosen');
  // Whoever repeats it finds all of it.
  const again = await platform.tandem('train', 'returning', '--as-of', String(run.asOf));
  expect(again.code, again.err).toBe(0);
  expect(again.out).toMatch(/\n {2}search +(reused|done) [^\n]* 12 trials, best aucRoc /);
}, 600_000);
