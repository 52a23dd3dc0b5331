import { grouped, roundTo } from '@tandem-examples/driver';
import { aucRoc, logLoss } from '../scores.ts';
import type { BoundedClinic } from './bounded-clinic.ts';
import type { CaseLog } from './case-log.ts';
import { improvementFaults, measureImprovement } from './improvement.ts';
import type { Report } from './report.ts';

/** The final model may be worse than what others reach on the same data by this. */
const AUC_DIFFERENCE_MAX = 0.01;

/**
 * What decisions and versions came to, and in words what was not as it must be. How good the models are is
 * asked only where the whole file came in: a few batches say little about that.
 */
export function outcomeOf(run: BoundedClinic): {
  readonly report: Pick<Report, 'batches' | 'decisions' | 'prequential' | 'final'>;
  readonly violations: readonly string[];
} {
  const { log, reception, trainings } = run;
  const { file, cases, isWhole } = run.clinic;
  const aucReference = isWhole ? file.aucReference : undefined;
  const last = trainings.at(-1);
  if (last === undefined) throw new Error('Nothing was trained');
  const { triage, yardstick } = reception;
  const improvement = measureImprovement(log.againstFirst());
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
      prequential: {
        auc: rounded(aucRoc(log.decided)),
        logLoss: rounded(logLoss(log.decided)),
        later: improvement,
      },
      final: {
        cases: last.cases,
        positives: last.positives,
        auc: last.estimate.auc,
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
      ...(isWhole ? improvementFaults(improvement) : []),
      ...(last.cases === cases.length
        ? []
        : [`the last training knows ${grouped(last.cases)} of ${grouped(cases.length)} cases`]),
      ...(aucReference === undefined || last.estimate.auc >= aucReference - AUC_DIFFERENCE_MAX
        ? []
        : [`the final AUC is ${String(last.estimate.auc)}, others reach ${String(aucReference)}`]),
    ],
  };
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
