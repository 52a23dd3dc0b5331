import { setTimeout as sleep } from 'node:timers/promises';
import type { ChaosOptions, ChaosResult } from './run.ts';
import { type LoadResult, startLoad } from './support/load.ts';
import { Platform } from './support/platform.ts';
import { prepareReleases } from './support/releases.ts';
import { Requests } from './support/requests.ts';
import { makeTarget } from './support/target.ts';
import { compareWithTruth, embeddedUrl } from './support/truth.ts';

/**
 * Nothing is done to the platform: whatever this finds is the fault of the load, of the checks, or of a machine that
 * is too slow for the rates. `--seconds` (default 60, short 10), `--events` and `--decisions` a second.
 */
export async function run({ seed, short, values, note }: ChaosOptions): Promise<ChaosResult> {
  const seconds = Number(values['seconds'] ?? (short ? 10 : 60));
  await using platform = await Platform.start({ replicas: { serve: 2, ingest: 2, train: 1 }, note });
  await using requests = new Requests(await makeTarget(platform.target));
  await prepareReleases(requests, seed);
  note('released');
  await using load = await startLoad({
    target: platform.target,
    seed,
    eventsPerSecond: Number(values['events'] ?? 500),
    decisionsPerSecond: Number(values['decisions'] ?? 200),
  });
  await sleep(seconds * 1_000);
  const result = await load.stop();
  const truth = await compareWithTruth({
    requests,
    loads: [result],
    seed,
    databaseUrl: await embeddedUrl(platform.dataDir),
    bufferedLossMax: 0,
  });
  const violations = [...truth.violations, ...loadViolations(result)];
  if (violations.length > 0) platform.failed();
  return { counts: { seconds, ...truth.counts, ...loadCounts(result) }, violations };
}

/** What a load counted, flat. */
function loadCounts({ events, decisions }: LoadResult): Record<string, number> {
  return {
    events: events.due,
    eventsMsP50: events.latency.p50,
    eventsMsP99: events.latency.p99,
    decisions: decisions.due,
    decisionsMsP50: decisions.latency.p50,
    decisionsMsP99: decisions.latency.p99,
  };
}

function loadViolations({ decisions, wrong, failures, refusals }: LoadResult): string[] {
  return [
    ...(decisions.failed > 0
      ? [`${String(decisions.failed)} decisions failed: ${JSON.stringify(failures[0])}`]
      : []),
    ...wrong,
    ...Object.entries(refusals).map(([what, times]) => `${what} ${String(times)} times`),
  ];
}
