import type { ModelReport, Share } from '../report.ts';
import type { Block } from './blocks.ts';
import { between, digits, table, text } from './format.ts';

/** What a model answers to an event, in a sentence. */
export function purposeText({
  app,
  label,
  vector,
  candidates,
  report,
}: {
  readonly app: string;
  readonly label: string;
  readonly vector: string;
  readonly candidates: string;
  readonly report: ModelReport;
}): string {
  const inputs = `the ${String(report.inputs.length)} values of the vector '${vector}'`;
  const differing = 'It says nothing of events that differ from those it learnt from.';
  return report.task === 'ranking'
    ? `Gives each event of '${candidates}' in the app '${app}' a score from ${inputs}, so that within a group those of which '${label}' is true ` +
        `come first. The score is no probability, and says nothing across groups. ${differing}`
    : `Gives each event of '${candidates}' in the app '${app}' the probability that '${label}' is true of it, from ${inputs}. ${differing}`;
}

/** What the rows that judge are called in the table of sides. */
export function judgedBy({ folds }: ModelReport): string {
  return folds === undefined ? 'judged by' : 'judged out of fold by';
}

/** How rows are decided at thresholds: nothing for reports of before there were such, and for rankings. */
export function thresholds({ thresholds: list = [] }: ModelReport): Block[] {
  if (list.length === 0) return [];
  return [
    text(
      'Rows with at least the threshold are alarms. Recall is the share of positives that are alarms, precision the share of alarms that are ' +
        'positive, specificity the share of negatives that are none. Intervals are those of Wilson, and not narrower than resampled entities say.',
    ),
    table(
      ['threshold', 'alarms', 'recall', 'interval', 'precision', 'interval', 'specificity', 'interval'],
      list.map(({ at, alarms, recall, precision, specificity }) => [
        digits(at),
        String(alarms),
        ...[recall, precision, specificity].flatMap(shareCells),
      ]),
    ),
  ];
}

function shareCells(share: Share | null): string[] {
  return share === null ? ['not measurable', ''] : [digits(share.value), between(share.interval)];
}

/** A cross-validation: what it means, and how much its folds differ. */
export function folds({ folds: report }: ModelReport): Block[] {
  if (report === undefined) return [];
  const { count, groupBy, each } = report;
  const names = ['aucRoc', 'averagePrecision', 'logLoss', 'brier'];
  const entity = groupBy === null ? '' : ` All rows of one '${groupBy}' lie in the same fold.`;
  return [
    text(
      `Everything on this card is measured out of fold: the rows were dealt into ${String(count)} folds, and each was scored by a model that did not ` +
        `learn from its fold. The model that answers has learnt from all rows, and no row is left that it could be judged by.${entity} ` +
        'Rows of one time lie on both sides: what a change of the world does is not measured.',
    ),
    table(
      ['fold', 'rows', 'positive', ...names],
      each.map(({ rows, positives, metrics }, fold) => [
        String(fold + 1),
        String(rows),
        String(positives),
        ...names.map((name) => {
          const value = metrics[name];
          return value === undefined ? 'not measurable' : digits(value);
        }),
      ]),
    ),
  ];
}
