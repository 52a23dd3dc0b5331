import type { Split } from '../../ml/index.ts';
import { metricsOf, positivesOf, unlessUnsound } from './measure-report.ts';
import type { Part } from './part-file.ts';
import { partRows } from './part-rows.ts';
import type { FoldsReport } from './report.ts';

/** A cross-validation fold by fold. The report's own metrics are of all rows together. */
export function foldsReportOf({
  test,
  scores,
  splits,
  groupBy,
}: {
  readonly test: Part;
  readonly scores: Float64Array;
  readonly splits: readonly Split[];
  readonly groupBy: string | null;
}): FoldsReport {
  const each = splits.map(({ test: rows }) => {
    const own = partRows(test, rows);
    const measured = unlessUnsound(() =>
      metricsOf(
        own,
        Float64Array.from(rows, (row) => scores[row] as number),
      ),
    );
    return { rows: own.rows, positives: positivesOf(own), metrics: measured ?? {} };
  });
  return { count: splits.length, groupBy, each };
}
