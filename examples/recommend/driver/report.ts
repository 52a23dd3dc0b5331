import {
  grouped,
  memoryText,
  metricText,
  millisecondsText,
  phasesText,
  roundTo,
  table,
} from '@tandem-examples/driver';
import type { Tally } from './visitors.ts';

/** What came of the visits between two changes. */
export interface StageReport {
  /** What the shelf was made by. */
  readonly stage: string;
  readonly release: string;
  readonly visits: number;
  readonly failed: number;
  readonly clicks: number;
  /** Clicks to expect of a hundred visits, by what was shown and by the most popular items in its place. */
  readonly expectedPer100: number;
  readonly popularPer100: number;
  /** And by the shelf's own order. */
  readonly shelfPer100: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

/** What is in charge of the shelf, trained with what was known at some time. */
export interface VersionReport {
  readonly model: string;
  readonly version: number;
  readonly ndcg10: number | null;
  readonly fitSeconds: number | null;
}

export interface Report {
  readonly world: string;
  readonly records: { readonly sent: number; readonly quarantined: number; readonly kept: number };
  readonly models: readonly VersionReport[];
  readonly stages: readonly StageReport[];
  /** From a click that was sent to an answer that knows of it, in milliseconds. */
  readonly clicks: { readonly looks: number; readonly p50Ms: number | null; readonly maxMs: number | null };
  /** The new feature, from the deployment to the release; null where nothing was deployed. */
  readonly newFeature: { readonly seconds: number; readonly visits: number; readonly failed: number } | null;
  readonly replayed: { readonly equal: number; readonly of: number };
  readonly seconds: Readonly<Record<string, number>>;
  readonly peakRssMb: number | null;
}

/** @param stage what the shelf was made by, and the release that answered */
export function stageReport(stage: string, release: string, tally: Tally): StageReport {
  const per100 = (sum: number): number => roundTo((100 * sum) / Math.max(1, tally.visits - tally.failed), 1);
  return {
    stage,
    release,
    visits: tally.visits,
    failed: tally.failed,
    clicks: tally.clicks,
    expectedPer100: per100(tally.expected),
    popularPer100: per100(tally.expectedPopular),
    shelfPer100: per100(tally.expectedShelf),
    p50Ms: rounded(tally.latencies.quantile(0.5)),
    p99Ms: rounded(tally.latencies.quantile(0.99)),
  };
}

/** The report as a table to read. */
export function summarise(report: Report): string {
  const { records, models, stages, clicks, newFeature, replayed, seconds, peakRssMb } = report;
  return table([
    ['world', report.world],
    ['records', `${grouped(records.sent)} sent, ${grouped(records.quarantined)} in quarantine`],
    ...models.map(({ model, version, ndcg10 }): [string, string] => [
      'model',
      `${model} version ${String(version)}: nDCG@10 ${metricText(ndcg10)}`,
    ]),
    ...stages.map((stage): [string, string] => [
      'shelf',
      `${stage.stage.padEnd(34)} ${stage.expectedPer100.toFixed(1)} clicks in 100 visits ` +
        `(the shelf's own order: ${stage.shelfPer100.toFixed(1)}, the most popular: ${stage.popularPer100.toFixed(1)}), ` +
        `${grouped(stage.visits)} visits, ` +
        `p50 ${millisecondsText(stage.p50Ms)}, p99 ${millisecondsText(stage.p99Ms)}`,
    ]),
    [
      'click',
      `counts after ${millisecondsText(clicks.p50Ms)} (p50), ${millisecondsText(clicks.maxMs)} at most, ` +
        `of ${grouped(clicks.looks)} looked at`,
    ],
    ...(newFeature === null
      ? []
      : [
          [
            'new feature',
            `in charge after ${newFeature.seconds.toFixed(1)} s, ${grouped(newFeature.visits)} visits meanwhile, ` +
              `${grouped(newFeature.failed)} of them failed`,
          ] as [string, string],
        ]),
    ['replay', `${String(replayed.equal)} of ${String(replayed.of)} recommendations bit for bit`],
    ['time', phasesText(seconds)],
    ['memory', memoryText(peakRssMb)],
  ]);
}

export function rounded(ms: number | null): number | null {
  return ms === null ? null : roundTo(ms, 1);
}
