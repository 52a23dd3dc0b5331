import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  type Dataset,
  type DatasetRebuild,
  type DecisionAnswer,
  routes,
  type Verification,
} from '../../src/contract/index.ts';
import { DoorLoad, type DoorRequest } from '../chaos/support/door-load.ts';
import { Platform } from '../chaos/support/platform.ts';
import { prepareReleases } from '../chaos/support/releases.ts';
import { Requests } from '../chaos/support/requests.ts';
import { makeTarget } from '../chaos/support/target.ts';
import { ROOT } from '../tidy/tree.ts';

const REQUESTS_PER_SECOND = 30;
const REPLICAS = { ingest: 1, features: 1, registry: 1, train: 1, serve: 1, gateway: 1 } as const;
/** A busy machine takes its time. */
const PATIENCE = { timeout: 60_000, interval: 250 };

function order(number: number): Record<string, unknown> {
  return {
    orderId: `live-${String(number)}`,
    at: Date.now(),
    customerId: `past-${String(number % 50)}`,
    serial: number,
    risk: (number % 10) / 10,
  };
}

const REQUESTS: readonly DoorRequest[] = [
  { name: 'accept', weight: 3, method: 'POST', path: '/v1/decisions/accept', body: order },
  { name: 'suggest', weight: 2, method: 'POST', path: '/v1/decisions/suggest', body: order },
  { name: 'ingest', weight: 3, method: 'POST', path: '/v1/sources/orders/events', body: order },
  {
    name: 'readVector',
    weight: 1,
    method: 'POST',
    path: '/v1/vectors/basket/read',
    body: (number) => ({ candidates: [order(number)] }),
  },
];

/** The fixture's app with its texts replaced. */
async function makeApp(folder: string, edits: readonly (readonly [string, string])[]): Promise<string> {
  await mkdir(folder);
  let text = await readFile(join(ROOT, 'test/chaos/fixtures/app.ts'), 'utf8');
  for (const [find, replace] of edits) {
    expect(text).toContain(find);
    text = text.replace(find, replace);
  }
  await writeFile(join(folder, 'app.ts'), text);
  await writeFile(join(folder, 'package.json'), '{"name":"shop","version":"2.0.0","type":"module"}');
  return folder;
}

const NEW_FEATURE = [
  "total: sum(order.serial).over('1d'),",
  "total: sum(order.serial).over('1d'),\n  risks: sum(order.risk).over('7d'),",
] as const;

describe('a feature that is added to a group in use', () => {
  it('is built from history, trained on and released while every decision is answered', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tandem-growth-'));
    await using platform = await Platform.start({ replicas: REPLICAS, note: () => undefined });
    const target = await makeTarget(platform.target);
    await using requests = new Requests(target);
    const since = new Date().toISOString();
    try {
      await prepareReleases(requests, 7);
      const [gateway] = await platform.processes('gateway');
      await using load = new DoorLoad({
        url: gateway?.url ?? '',
        headers: target.headers('gateway'),
        requests: REQUESTS,
        perSecond: REQUESTS_PER_SECOND,
      });
      const done = async (...parameters: string[]): Promise<string> => {
        const { code, out, err } = await platform.tandem(...parameters);
        expect(`${String(code)} ${err}`).toMatch(/^0 /);
        return out;
      };
      const decide = (decision: string): Promise<DecisionAnswer> =>
        requests.call(routes.decide, { params: { decision }, body: order(1) });
      const first = await decide('accept');

      const inPlace = await makeApp(join(folder, 'in-place'), [NEW_FEATURE]);
      const refused = await platform.tandem('deploy', 'features', '--version', inPlace, '--check');
      expect(refused.code).toBe(1);
      expect(refused.err).toContain("feature 'risks_7d' of group 'tiled' is added: pick() the ones it had");
      expect(refused.err).toContain("it would break model 'returning' and decisions 'accept', 'suggest'");

      const grown = await makeApp(join(folder, 'grown'), [
        NEW_FEATURE,
        ['  number,\n', '  number,\n  pick,\n'],
        [
          'risk: (order) => order.risk, exact, tiled });',
          "risk: (order) => order.risk, exact, tiled: pick(tiled, 'tally_1d', 'total_1d') });\n" +
            "export const wide = vector('wide', { candidate: orders, risk: (order) => order.risk, exact, tiled });",
        ],
        [
          '/** Answered once it is on disk. */',
          "export const wider = defineModel('wider', { ...returning, vector: wide });\n",
        ],
        ["decision('accept', { model: returning", "decision('accept', { model: wider"],
        ['decisions: { accept, suggest }', 'decisions: { accept, suggest }, models: [returning]'],
      ]);
      const alone = await platform.tandem('deploy', 'serve', '--version', grown, '--check');
      expect(alone.err).toContain("needs vector 'wide', which features");
      await done('deploy', 'features', '--version', grown);
      await done('deploy', 'registry', 'train', 'serve', '--version', grown);
      // The release in charge goes on, with its own vector.
      expect((await decide('accept')).release).toBe(first.release);
      await done('train', 'wider');
      await done('release', 'accept', '1');
      await expect.poll(async () => (await decide('accept')).release, PATIENCE).toBe('accept-2');
      const last = await decide('accept');
      expect((await decide('suggest')).release).toBe('suggest-1');

      await load.settled();
      const counts = load.take();
      expect(counts.answered).toBeGreaterThan(100);
      expect({ refusals: counts.refusals, broken: counts.broken }).toEqual({ refusals: {}, broken: {} });

      for (const { decisionId } of [first, last]) {
        expect(JSON.parse(await done('replay', decisionId, '--json'))).toMatchObject({ equal: true });
      }
      const [trained] = JSON.parse(await done('datasets', 'list', '--json')) as readonly Dataset[];
      expect(trained).toMatchObject({ vector: 'wide', knowledge: 'latest' });
      const again = JSON.parse(
        await done('datasets', 'verify', trained?.id ?? '', '--json'),
      ) as DatasetRebuild;
      expect(again).toMatchObject({ equal: true, wasStored: true });

      const wanted = ['features', 'verify', '--sample', '500', '--since', since, '--json'];
      const verified = JSON.parse(await done(...wanted)) as Verification;
      expect(verified).toMatchObject({ mismatches: 0, notRecomputable: 0 });
      expect(verified.rows).toBeGreaterThan(50);
      const names = verified.features.map(({ vector, feature }) => `${vector}.${feature}`);
      expect(names).toEqual(
        expect.arrayContaining(['basket.tiled_total_1d', 'wide.tiled_total_1d', 'wide.tiled_risks_7d']),
      );
      expect(names).not.toContain('basket.tiled_risks_7d');
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }, 400_000);
});
