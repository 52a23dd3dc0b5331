import { grouped, metricText, roundTo } from '@tandem-examples/driver';
import { aucRoc, logLoss } from '../scores.ts';
import type { BoundedClinic } from './bounded-clinic.ts';
import type { CaseLog } from './case-log.ts';
import type { Report } from './report.ts';

/** The final model may be worse than what others reach on the same data by this. */
const AUC_DIFFERENCE_MAX = 0.01;

/** What decisions and versions came to, and in words what was not as it must be. */
export function outcomeOf(
  run: BoundedClinic,
  { aucReference }: { readonly aucReference: number | undefined },
): {
  readonly report: Pick<Report, 'batches' | 'decisions' | 'prequential' | 'final'>;
  readonly violations: readonly string[];
} {
  const { log, reception, trainings } = run;
  const last = trainings.at(-1);
  if (last === undefined) throw new Error('Nothing was trained');
  const { triage, yardstick } = reception;
  const { charge, first } = log.againstFirst();
  const later = {
    cases: charge.length,
    auc: rounded(aucRoc(charge)),
    logLoss: rounded(logLoss(charge)),
    firstAuc: rounded(aucRoc(first)),
    firstLogLoss: rounded(logLoss(first)),
  };
  const failed = triage.failed + yardstick.failed;
  return {
    report: {
      batches: trainings,
      decisions: {
        count: log.decided.length,
        failed,
        outcomes: outcomesOf(log),
        p50Ms: rounded(triage.latencies.quantile(0.5)),
        p99Ms: rounded(triage.latencies.quantile(0.99)),
      },
      prequential: { auc: rounded(aucRoc(log.decided)), logLoss: rounded(logLoss(log.decided)), later },
      final: {
        cases: last.cases,
        positives: last.positives,
        auc: last.auc,
        aucReference: aucReference ?? null,
      },
    },
    violations: [
      ...(failed === 0 && log.decided.length === run.toDecide
        ? []
        : [
            `of ${grouped(run.toDecide)} cases ${grouped(log.decided.length)} were decided, ${grouped(failed)} decisions failed: ` +
              (triage.firstFailure ?? yardstick.firstFailure ?? '-'),
          ]),
      ...(log.decided.length === 0 ? ['no version passed its gates: there was no decision'] : []),
      ...improvementFaults(later),
      ...(last.cases === run.clinic.cases.length
        ? []
        : [`the last training knows ${grouped(last.cases)} of ${grouped(run.clinic.cases.length)} cases`]),
      ...(aucReference === undefined || last.auc >= aucReference - AUC_DIFFERENCE_MAX
        ? []
        : [`the final AUC is ${String(last.auc)}, others reach ${String(aucReference)}`]),
    ],
  };
}

/** On cases that nobody had seen, versions that learnt more are better than the first. */
function improvementFaults(later: Report['prequential']['later']): string[] {
  const { cases, auc, logLoss: loss, firstAuc, firstLogLoss } = later;
  if (cases === 0) return ['no version after the first decided a case'];
  if (auc === null || loss === null || firstAuc === null || firstLogLoss === null)
    return [`${grouped(cases)} later cases are all alike: nothing can be compared`];
  return auc >= firstAuc && loss < firstLogLoss
    ? []
    : [
        `the model did not improve: on ${grouped(cases)} later cases AUC ${metricText(auc)} and log loss ${metricText(loss)}, ` +
          `the first version's are ${metricText(firstAuc)} and ${metricText(firstLogLoss)}`,
      ];
}

function outcomesOf(log: CaseLog): Report['decisions']['outcomes'] {
  const outcomes: Record<string, { count: number; positives: number }> = {};
  for (const { answer, isPositive } of log.decided) {
    const found = (outcomes[answer.outcome] ??= { count: 0, positives: 0 });
    found.count += 1;
    if (isPositive) found.positives += 1;
  }
  return outcomes;
}

function rounded(value: number | null): number | null {
  return value === null ? null : roundTo(value, 6);
}
