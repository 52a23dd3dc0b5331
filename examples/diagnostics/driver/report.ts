import {
  grouped,
  memoryText,
  metricText,
  millisecondsText,
  phasesText,
  table,
} from '@tandem-examples/driver';
import type { Improvement } from './improvement.ts';
import type { TrainingReport } from './model-keeper.ts';

/** What `--report` writes as JSON. */
export interface Report {
  readonly dataset: string;
  /** Records as the driver counts them, and as the product does. */
  readonly cases: {
    readonly sent: number;
    /** Different records that the product keeps. */
    readonly kept: number;
    readonly quarantined: number;
  };
  readonly findings: {
    /** Sent by pathology. */
    readonly sent: number;
    /** That answers of the clinician became. */
    readonly fromReviews: number;
    readonly kept: number;
    readonly quarantined: number;
  };
  /** One for each batch, in the order of time. */
  readonly batches: readonly TrainingReport[];
  readonly decisions: {
    readonly count: number;
    readonly failed: number;
    /** By outcome, and how many of those turned out to be positive. */
    readonly outcomes: Readonly<Record<string, { readonly count: number; readonly positives: number }>>;
    readonly p50Ms: number | null;
    readonly p99Ms: number | null;
  };
  readonly reviews: {
    /** Cases that the model left to a person. */
    readonly asked: number;
    readonly answered: number;
    readonly waiting: number;
  };
  /** Each case was scored when it came in, before anybody knew what it was. */
  readonly prequential: {
    /** Of all decided cases. */
    readonly auc: number | null;
    readonly logLoss: number | null;
    /** The cases that later versions than the first decided: those beside the first, on the same cases. */
    readonly later: Improvement;
  };
  readonly explanations: {
    readonly checked: number;
    /** Largest difference between base plus contributions and the margin. */
    readonly differenceMax: number;
  };
  readonly replays: { readonly checked: number; readonly equal: number };
  /** The training that knows all cases. */
  readonly final: {
    readonly cases: number;
    readonly positives: number;
    readonly auc: number;
    /** What others reach on these data in the same way; null where none is known, or not all cases came in. */
    readonly aucReference: number | null;
  };
  /** Wall-clock seconds by phase, and `total`. */
  readonly seconds: Readonly<Record<string, number>>;
  /** Largest sum of resident memory of the driver, the product and its database, in MiB; null where it is not known. */
  readonly peakRssMb: number | null;
}

/** The report as a table to read. */
export function summarise(report: Report): string {
  const { cases, findings, decisions, reviews, prequential, explanations, replays, final } = report;
  const { later } = prequential;
  const releases = report.batches.filter(({ release }) => release !== null).length;
  return table([
    [
      'cases',
      `${grouped(cases.sent)} sent, ${grouped(cases.kept)} kept, ${grouped(cases.quarantined)} quarantined`,
    ],
    ['findings', `${grouped(findings.sent)} of pathology, ${grouped(findings.fromReviews)} of the clinician`],
    ['versions', `${grouped(report.batches.length)} trained, ${grouped(releases)} released`],
    ['decisions', `${grouped(decisions.count)} answered, ${grouped(decisions.failed)} failed`],
    ...Object.entries(decisions.outcomes).map(([outcome, { count, positives }]): [string, string] => [
      `  ${outcome}`,
      `${grouped(count)}, of which ${grouped(positives)} turned out to be positive`,
    ]),
    ['  latency', `p50 ${millisecondsText(decisions.p50Ms)}, p99 ${millisecondsText(decisions.p99Ms)}`],
    [
      'reviews',
      `${grouped(reviews.asked)} asked, ${grouped(reviews.answered)} answered, ${grouped(reviews.waiting)} wait`,
    ],
    ['as it came', `AUC ${metricText(prequential.auc)}, log loss ${metricText(prequential.logLoss)}`],
    [
      '  later',
      `${grouped(later.cases)} cases: AUC ${metricText(later.auc)}, log loss ${metricText(later.logLoss)}`,
    ],
    ['  by first', `AUC ${metricText(later.firstAuc)}, log loss ${metricText(later.firstLogLoss)}`],
    [
      '  gain',
      later.aucGain === null
        ? 'not known'
        : `AUC ${signed(later.aucGain.low)} to ${signed(later.aucGain.high)} with a confidence of 95 %`,
    ],
    [
      'explained',
      `${grouped(explanations.checked)} decisions, sums differ by ${explanations.differenceMax.toExponential(1)} at most`,
    ],
    ['replayed', `${grouped(replays.equal)} of ${grouped(replays.checked)} bit for bit`],
    [
      'final',
      `AUC ${final.auc.toFixed(4)} over ${grouped(final.cases)} cases, ${grouped(final.positives)} positive` +
        (final.aucReference === null ? '' : `; others reach ${final.aucReference.toFixed(4)}`),
    ],
    ['time', phasesText(report.seconds)],
    ['memory', memoryText(report.peakRssMb)],
  ]);
}

function signed(value: number): string {
  return `${value < 0 ? '' : '+'}${value.toFixed(3)}`;
}
