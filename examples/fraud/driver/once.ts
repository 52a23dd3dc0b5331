import {
  DAY_MS,
  day,
  grouped,
  KillDrill,
  type OnceResult,
  roundTo,
  type RunTools,
} from '@tandem-examples/driver';
import { DataFolder } from '../data-folder.ts';
import { type BoundedPlan, BoundedRun, type BoundedTools } from './bounded-run.ts';
import type { RunOptions } from './options.ts';
import type { ModelReport, Report } from './report.ts';
import { compareAsServed, compareOffline, replaySamples, settleEvents } from './settlement.ts';
import { HISTORY_DAYS, simulatedWorld } from './simulated-world.ts';
import { modelReport, MODELS, trainEntry } from './training.ts';
import { countTransactions, simulatedSource } from './transaction-source.ts';

/** Labels are known this long after their transactions. */
const MATURITY_MS: number = 7 * DAY_MS;

/** Sends a bounded stream through a product that is not started yet, checks what comes back, and reports. */
export async function runOnce(options: RunOptions, tools: RunTools): Promise<OnceResult<Report>> {
  const { platform, product, timeline, memory } = tools;
  const { plan, trainAgain } = await makePlan(options);
  const size = await timeline.phase('inspect', () => countTransactions(plan.source, plan.toMs));
  const table = await timeline.phase('inspect', () => plan.source.expected());
  timeline.say(
    'inspect',
    `${grouped(size.transactions)} transactions, ${grouped(size.frauds)} of them frauds`,
  );
  const records = Math.floor((size.transactions + size.frauds) * (1 + options.duplicate));
  const drill =
    options.killAt === undefined
      ? undefined
      : new KillDrill({
          product,
          // The very last records may come in one request that is the only one left to be killed.
          atRecord: Math.max(1, Math.min(options.killAt, 0.99) * records),
          tell: (text) => timeline.say('kill', text),
        });

  await timeline.phase('start', () => product.start({ fresh: options.fresh }));
  timeline.say('start', `the product is ready at ${product.url}, data in ${options.dataDir}`);
  const all = { platform, product, timeline, drill, dataDir: options.dataDir };
  const run = new BoundedRun(plan, all, table);
  await run.run();
  await drill?.finished();
  const { events, violations } = await timeline.phase('settle', () => settleEvents(run, all));
  const models = await finalModels(plan, all, { run, trainAgain });
  const offline = await timeline.phase('dataset', () =>
    compareOffline(plan, all, { table, digests: run.digests }),
  );
  const asServed = await timeline.phase('dataset', () => compareAsServed(plan, all));
  const replayed = await timeline.phase('replay', () => replaySamples(run, all));
  const { online, decider } = run;
  return {
    violations: [
      ...violations,
      ...different('online', online.mismatches, online.differences[0]),
      ...different('offline', offline.mismatches, offline.differences[0]),
      ...different('as served', asServed.mismatches, asServed.difference),
      ...(offline.rows === online.rows
        ? []
        : [`${grouped(online.rows)} rows online, ${grouped(offline.rows)} offline`]),
      ...(asServed.rows < online.rows ? [`only ${grouped(asServed.rows)} rows have a receipt`] : []),
      ...(decider.failed === 0
        ? []
        : [`${grouped(decider.failed)} decisions failed: ${decider.firstFailure ?? ''}`]),
      ...(decider.latencies.count === 0 ? ['there was no decision'] : []),
      ...replayed,
    ],
    report: {
      events,
      features: {
        rows: online.rows,
        valuesOnline: online.values,
        mismatchesOnline: online.mismatches,
        valuesOffline: offline.values,
        mismatchesOffline: offline.mismatches,
        mismatchesAsServed: asServed.mismatches,
      },
      models,
      decisions: {
        count: decider.latencies.count,
        failed: decider.failed,
        p50Ms: rounded(decider.latencies.quantile(0.5)),
        p99Ms: rounded(decider.latencies.quantile(0.99)),
      },
      digests: run.digests.report(),
      seconds: timeline.seconds,
      peakRssMb: memory.peakMb,
    },
  };
}

/**
 * Published data: history, then the days whose features are expected; after two thirds of them models are
 * released, and trained again when the labels of all are known (with all 21 days, the training, delay and
 * test weeks of the published results). Simulated data: history, then a release, then one day.
 */
async function makePlan(options: RunOptions): Promise<{ plan: BoundedPlan; trainAgain: boolean }> {
  const disorder = { shuffleMs: options.shuffleMs, duplicate: options.duplicate, seed: options.seed };
  if (options.data === undefined) {
    const world = simulatedWorld(options.seed);
    const days = options.days ?? 1;
    const fromMs = world.startMs + HISTORY_DAYS * DAY_MS;
    const toMs = fromMs + days * DAY_MS;
    const source = simulatedSource(world, HISTORY_DAYS, HISTORY_DAYS + days);
    const plan = { source, fromMs, releaseMs: fromMs, toMs, labelsKnownMs: toMs + MATURITY_MS, disorder };
    return { plan, trainAgain: false };
  }
  const folder = await DataFolder.open(options.data);
  const { fromMs } = folder;
  const toMs = Math.min(folder.toMs, options.days === undefined ? Infinity : fromMs + options.days * DAY_MS);
  const releaseMs = fromMs + Math.floor(((toMs - fromMs) / DAY_MS) * (2 / 3)) * DAY_MS;
  return {
    plan: { source: folder, fromMs, releaseMs, toMs, labelsKnownMs: toMs + MATURITY_MS, disorder },
    trainAgain: true,
  };
}

async function finalModels(
  plan: BoundedPlan,
  tools: BoundedTools,
  options: { readonly run: BoundedRun; readonly trainAgain: boolean },
): Promise<ModelReport[]> {
  const { platform, timeline } = tools;
  const models: ModelReport[] = [];
  if (options.trainAgain) {
    timeline.say('train', `with the labels of all transactions, as of ${day(plan.labelsKnownMs)}`);
  }
  for (const entry of MODELS) {
    const train = () => trainEntry(platform, timeline, { entry, asOf: plan.labelsKnownMs });
    const trained = options.trainAgain ? await timeline.phase('train', train) : options.run.runs.get(entry);
    if (trained === undefined) continue;
    models.push(modelReport(entry, trained));
    if (trained.version !== null) {
      const digest = await platform.versionDigest(entry.model, trained.version);
      options.run.digests.model(entry.model, digest);
    }
  }
  return models;
}

function different(where: string, mismatches: number, first: string | undefined): string[] {
  return mismatches === 0 ? [] : [`${grouped(mismatches)} features differ ${where}: ${first ?? ''}`];
}

function rounded(ms: number | null): number | null {
  return ms === null ? null : roundTo(ms, 3);
}
