import { setTimeout as sleep } from 'node:timers/promises';
import { grouped } from '@tandem-examples/driver';
import type { ExpectedTable } from '../expected-table.ts';
import { type BoundedPlan, type BoundedRun, type BoundedTools, VECTOR } from './bounded-run.ts';
import { objectPath, readDataset } from './dataset-file.ts';
import type { Digests } from './digests.ts';
import { REPORTS, TRANSACTIONS } from './record-stream.ts';
import type { Report } from './report.ts';
import { ValueComparison } from './value-comparison.ts';

/** How long the online state may take to catch up with the log when everything was sent, in milliseconds. */
const CATCH_UP_MS_MAX = 120_000;
const LABEL = 'fraud';
const REPLAYS = 3;

/** Counts of both sources once everything is applied, compared with what was sent. */
export async function settleEvents(
  run: BoundedRun,
  tools: BoundedTools,
): Promise<{ readonly events: Report['events']; readonly violations: readonly string[] }> {
  const violations: string[] = [];
  const events = { sent: run.sender.sent, accepted: 0, duplicates: 0, quarantined: 0 };
  for (const source of [TRANSACTIONS, REPORTS] as const) {
    const deadline = performance.now() + CATCH_UP_MS_MAX;
    let counts = await tools.platform.source(source);
    while ((counts.lag !== 0 || counts.duplicates === null) && performance.now() < deadline) {
      await sleep(100);
      counts = await tools.platform.source(source);
    }
    if (counts.lag !== 0) violations.push(`${source}: ${String(counts.lag)} records are still not applied`);
    const kept = counts.accepted - (counts.duplicates ?? 0);
    const distinct = run.sender.distinct[source];
    if (kept !== distinct) {
      violations.push(
        `${source}: ${grouped(distinct)} different records were sent, ${grouped(kept)} are kept`,
      );
    }
    events.accepted += counts.accepted;
    events.duplicates += counts.duplicates ?? 0;
    events.quarantined += counts.quarantined;
  }
  if (events.quarantined > 0) {
    violations.push(
      `${grouped(events.quarantined)} records are in quarantine, the first: ${run.sender.firstRefusal ?? '-'}`,
    );
  }
  return { events, violations };
}

/**
 * Builds the dataset of the compared transactions with all that is known, and compares it with the expected
 * features.
 */
export async function compareOffline(
  plan: BoundedPlan,
  tools: BoundedTools & { readonly dataDir: string },
  { table, digests }: { readonly table: ExpectedTable; readonly digests: Digests },
): Promise<ValueComparison> {
  const offline = new ValueComparison(table);
  const dataset = await tools.platform.buildDataset({ ...range(plan), knowledge: 'latest' });
  tools.timeline.say(
    'dataset',
    `${grouped(dataset.rows)} rows with all that is known (${grouped(dataset.positives)} frauds, ` +
      `${grouped(dataset.censored)} left out as not yet known)`,
  );
  const places = ValueComparison.places(dataset.names);
  const path = await objectPath(tools.dataDir, dataset.file.digest);
  await readDataset(path, dataset.names, (id, values) => {
    offline.compare(id, values, places);
    digests.row(id, values);
  });
  return offline;
}

/**
 * Builds the dataset of what was served and compares each served value with the recomputed one, bit for bit.
 */
export async function compareAsServed(
  plan: BoundedPlan,
  tools: BoundedTools & { readonly dataDir: string },
): Promise<{ readonly rows: number; readonly mismatches: number; readonly difference: string | undefined }> {
  const dataset = await tools.platform.buildDataset({ ...range(plan), knowledge: 'as-served' });
  tools.timeline.say('dataset', `${grouped(dataset.rows)} rows as they were served`);
  const path = await objectPath(tools.dataDir, dataset.file.digest);
  const { names } = dataset;
  let mismatches = 0;
  let difference: string | undefined;
  await readDataset(path, [...names, ...names.map((name) => `served_${name}`)], (id, values) => {
    for (const [index, name] of names.entries()) {
      const [computed, served] = [values[index], values[names.length + index]];
      if (Object.is(computed, served)) continue;
      mismatches += 1;
      difference ??= `transaction ${String(id)}: ${name} was served as ${String(served)}, recomputed ${String(computed)}`;
    }
  });
  return { rows: dataset.rows, mismatches, difference };
}

/** Replays the first, a middle and the last of the decisions kept as samples. */
export async function replaySamples(run: BoundedRun, tools: BoundedTools): Promise<readonly string[]> {
  const { samples } = run.decider;
  const chosen = new Set(
    [0, Math.floor(samples.length / 2), samples.length - 1].map((index) => samples[index]),
  );
  const violations: string[] = [];
  let equal = 0;
  for (const decisionId of [...chosen].slice(0, REPLAYS)) {
    if (decisionId === undefined) continue;
    const replay = await tools.platform.replay(decisionId);
    if (replay.equal) equal += 1;
    else
      violations.push(
        `decision ${decisionId} replays differently: ${replay.differences.join(', ') || 'the score'}`,
      );
  }
  tools.timeline.say(
    'replay',
    `${String(equal)} of ${String(equal + violations.length)} decisions replayed bit for bit`,
  );
  return violations;
}

function range(plan: BoundedPlan): {
  readonly vector: string;
  readonly label: string;
  readonly fromMs: number;
  readonly toMs: number;
  readonly asOf: number;
} {
  return { vector: VECTOR, label: LABEL, fromMs: plan.fromMs, toMs: plan.toMs, asOf: plan.labelsKnownMs };
}
