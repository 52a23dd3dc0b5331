import { fileURLToPath } from 'node:url';
import { Platform } from '../test/chaos/support/platform.ts';
import { prepareReleases } from '../test/chaos/support/releases.ts';
import { Requests } from '../test/chaos/support/requests.ts';
import { makeTarget } from '../test/chaos/support/target.ts';
import { gatewayTarget } from '../test/support/gateway-target.ts';
import { latency } from './fixtures/scale/load.ts';
import {
  backAfter,
  calibrate,
  type Calibration,
  calm,
  highRate,
  type Scene,
  type Step,
  step,
  type Stepped,
} from './fixtures/scale/step.ts';
import { quiet, quietOnly } from './fixtures/scale/machine.ts';
import { beside, sendOrders } from './fixtures/scale/training.ts';
import type { Measurement } from './run.ts';
import { median } from './support/median.ts';

/** Steps of each service, in turns. */
const ROUNDS = 3;
const SEED = 5;

const note = (text: string): void => console.error(text);

/**
 * How fast `tandem up` follows ten times the load on serve and then on ingest, whether a request fails meanwhile, and what
 * training costs serve: real processes, real HTTP through the gateway, each request sent once, the sender in a process of its
 * own. The step ends half above what one process may have in flight, which is found out first; steps and stretches of
 * training take turns with what they are compared with, and the middle one counts.
 */
export async function measure(): Promise<Measurement> {
  const app = fileURLToPath(new URL('fixtures/scale/app.ts', import.meta.url));
  await using platform = await Platform.start({ app, note });
  const target = gatewayTarget(platform.dataDir);
  await using requests = new Requests(await makeTarget(target));
  await prepareReleases(requests, SEED);
  await sendOrders(requests, SEED);
  note('released');
  const scene: Scene = { platform, target, note };
  const calibrations = { serve: await calibrate(scene, 'serve'), ingest: await calibrate(scene, 'ingest') };
  const steps: Record<Stepped, Step[]> = { serve: [], ingest: [] };
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const service of ['serve', 'ingest'] as const) {
      steps[service].push(await step(scene, service, highRate(calibrations[service])));
    }
  }
  const rate = highRate(calibrations.serve);
  const replicas = Math.max(...steps.serve.map((one) => one.replicas));
  const training = await beside(scene, requests, { rate, replicas });
  const { costs, noise, failed: failedInTraining, quietPairs, busy, others, ...figures } = training;
  const all = [...steps.serve, ...steps.ingest].flatMap(({ before, after }) => [before, after]);
  const failed =
    [...all, ...Object.values(calibrations)].reduce((sum, one) => sum + one.failed, 0) + failedInTraining;
  return {
    metrics: {
      ...summary('serve', steps.serve, calibrations.serve),
      ...summary('ingest', steps.ingest, calibrations.ingest),
      ...figures,
      trainingQuietPairs: quietPairs,
      trainingCores: busy,
      trainingOthersCores: others,
      trainingNoisePercent: median(noise.map((one) => Math.abs(one))),
      trainingCostPercent: median(costs),
      failed,
    },
    goals: [
      { metric: 'serveFollowSeconds', goal: 5, bound: 'max' },
      { metric: 'ingestFollowSeconds', goal: 5, bound: 'max' },
      { metric: 'serveBackSeconds', goal: 10, bound: 'max' },
      { metric: 'ingestBackSeconds', goal: 10, bound: 'max' },
      { metric: 'failed', goal: 0, bound: 'max' },
      { metric: 'trainingCostPercent', goal: 20, bound: 'max' },
    ],
  };
}

/** The middle of the steps of a service during which the machine was quiet otherwise, if there are any. What was before the steps is taken together: there are few requests in each. */
function summary(name: Stepped, all: readonly Step[], calibration: Calibration): Record<string, number> {
  const steps = quiet(all.map(({ others }) => others)).flatMap((index) => all[index] ?? []);
  const p99MsBefore = latency(
    steps.flatMap(({ before }) => before.answers),
    0.99,
  );
  const numbers = {
    ratePerSecond: highRate(calibration),
    isMachineFull: Number(calibration.isMachineFull),
    quietSteps: quietOnly(all.map(({ others }) => others)).length,
    replicas: median(steps.map(({ replicas }) => replicas)),
    /** Until the supervisor ordered more, until the first further process was ready, and until all were. */
    orderSeconds: median(steps.map(({ order }) => order)),
    followSeconds: median(steps.map(({ follow }) => follow)),
    allSeconds: median(steps.map(({ all }) => all)),
    backSeconds: median(steps.map((one) => backAfter(one, p99MsBefore))),
    p99MsBefore,
    p99MsAfter: median(steps.map((one) => latency(calm(one), 0.99))),
    p99MsWorst: Math.max(...steps.map(({ after }) => latency(after.answers, 0.99))),
    spreadPercent: median(steps.map(({ spread }) => spread)) * 100,
    coresBefore: median(steps.map(({ busyBefore }) => busyBefore)),
    coresAfter: median(steps.map(({ busyAfter }) => busyAfter)),
    othersCores: median(steps.map(({ others }) => others)),
  };
  return Object.fromEntries(
    Object.entries(numbers).map(([metric, value]) => [
      `${name}${metric[0]?.toUpperCase() ?? ''}${metric.slice(1)}`,
      value,
    ]),
  );
}
