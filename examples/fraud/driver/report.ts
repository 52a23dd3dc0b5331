import {
  grouped,
  memoryText,
  metricText,
  millisecondsText,
  phasesText,
  secondsText,
  table,
} from '@tandem-examples/driver';
import type { DigestReport } from './digests.ts';

/** What `--report` writes as JSON. */
export interface Report {
  readonly events: {
    /** Records sent, deliberate copies counted, repetitions of unanswered requests not. */
    readonly sent: number;
    /** Records in the product's log. */
    readonly accepted: number;
    /** Of those, the ones dropped because their id was known. */
    readonly duplicates: number;
    readonly quarantined: number;
  };
  readonly features: {
    /** Transactions whose features were compared. */
    readonly rows: number;
    readonly valuesOnline: number;
    readonly mismatchesOnline: number;
    readonly valuesOffline: number;
    readonly mismatchesOffline: number;
    /** Values recomputed from the log that differ from what was served. */
    readonly mismatchesAsServed: number;
  };
  readonly models: readonly ModelReport[];
  readonly decisions: {
    /** Decisions answered. */
    readonly count: number;
    readonly failed: number;
    readonly p50Ms: number | null;
    readonly p99Ms: number | null;
  };
  readonly digests: DigestReport;
  /** Wall-clock seconds by phase, and `total`. */
  readonly seconds: Readonly<Record<string, number>>;
  /**
   * Largest sum of resident memory of the driver, the product and its database, in MiB; null where it is not
   * known.
   */
  readonly peakRssMb: number | null;
}

export interface ModelReport {
  readonly trainer: string;
  readonly auc: number | null;
  readonly averagePrecision: number | null;
  readonly cardPrecision100: number | null;
  readonly fitSeconds: number | null;
}

/** The report as a table to read. */
export function summarise(report: Report): string {
  const { events, features, decisions } = report;
  const rows: [string, string][] = [
    ['events', `${grouped(events.sent)} sent, ${grouped(events.accepted)} accepted`],
    ['', `${grouped(events.duplicates)} duplicates dropped, ${grouped(events.quarantined)} quarantined`],
    ['features', `${grouped(features.rows)} transactions compared`],
    [
      '  online',
      `${grouped(features.valuesOnline)} values, ${grouped(features.mismatchesOnline)} mismatches`,
    ],
    [
      '  offline',
      `${grouped(features.valuesOffline)} values, ${grouped(features.mismatchesOffline)} mismatches`,
    ],
    ['  as served', `${grouped(features.mismatchesAsServed)} mismatches`],
    ...report.models.map((model): [string, string] => [
      model.trainer,
      `AUC ${metricText(model.auc)}, average precision ${metricText(model.averagePrecision)}, ` +
        `card precision@100 ${metricText(model.cardPrecision100)}, fitted in ${secondsText(model.fitSeconds)}`,
    ]),
    ['decisions', `${grouped(decisions.count)} answered, ${grouped(decisions.failed)} failed`],
    ['  latency', `p50 ${millisecondsText(decisions.p50Ms)}, p99 ${millisecondsText(decisions.p99Ms)}`],
    ['time', phasesText(report.seconds)],
    ['memory', memoryText(report.peakRssMb)],
  ];
  return table(rows);
}
