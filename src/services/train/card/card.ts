import { type GateVerdict, gateValueText } from '../../../contract/index.ts';
import { gateBoundText, gateMeasureText } from '../../../define/index.ts';
import { describePeriod, type Periods } from '../periods.ts';
import { type Interval, type ModelReport, REFERENCE_SHARES } from '../report.ts';
import { type Block, htmlOf, markdownOf, type Page, type Section } from './blocks.ts';
import { folds, judgedBy, purposeText, thresholds } from './evaluation.ts';
import { between, digits, percent, table, text } from './format.ts';
import { barPlot, linePlot } from './plot.ts';

/** What a card tells. */
export interface CardInput {
  readonly app: string;
  readonly model: string;
  readonly vector: string;
  readonly label: string;
  /** Source of the events that are decided on. */
  readonly candidates: string;
  readonly periods: Periods;
  readonly metrics: Readonly<Record<string, number>>;
  readonly gates: readonly GateVerdict[];
  readonly report: ModelReport;
  /** Facts by name: the dataset, hashes, the trainer. */
  readonly lineage: Readonly<Record<string, unknown>>;
}

export interface Card {
  readonly markdown: string;
  readonly html: string;
}

/** Metrics in the order in which they are told, with what they say and which way is better. */
const METRICS: Readonly<Record<string, string>> = {
  aucRoc: 'chance that a positive row ranks above a negative one',
  averagePrecision: 'precision over all thresholds, weighted by recall',
  cardPrecision100: 'share of frauds among the 100 entities looked into on a day',
  logLoss: 'surprise at the outcomes, in nats; less is better',
  brier: 'mean squared error of the probability; less is better',
  calibrationError: 'how far probabilities are from shares, on average; less is better',
  ndcg10: 'gain of the first ten places of a group, of the best that there is',
  map10: 'precision down to each relevant row among the first ten, on average',
  mrr10: '1 / the place of the first relevant row, 0 beyond ten',
};
/** Categories of an input that its line shows. */
const CATEGORIES_SHOWN_MAX = 12;
/** Inputs that the picture of the importance shows. */
const BARS_MAX = 20;

/**
 * The model card of a version: what it was learnt from, how good it is and for whom it is worst, what it looks at, and where it
 * comes from (Mitchell et al., "Model cards for model reporting", 2019). Nothing in it depends on when it is made.
 */
export function cardOf(input: CardInput): Card {
  const page: Page = { title: `Model card: ${input.model}`, sections: sectionsOf(input) };
  return { markdown: markdownOf(page), html: htmlOf(page) };
}

function sectionsOf(input: CardInput): Section[] {
  return [
    { title: 'What it does', blocks: purpose(input) },
    { title: 'How good it is', blocks: quality(input) },
    { title: 'Decisions at thresholds', blocks: thresholds(input.report) },
    { title: 'Fold by fold', blocks: folds(input.report) },
    { title: 'Gates', blocks: gates(input) },
    { title: 'Curves', blocks: curves(input.report) },
    { title: 'For whom it is worst', blocks: slices(input.report) },
    { title: 'What it looks at', blocks: importance(input.report) },
    { title: 'What its inputs looked like', blocks: inputs(input.report) },
    { title: 'Where it comes from', blocks: lineage(input.lineage) },
  ].filter(({ blocks }) => blocks.length > 0);
}

function purpose({ app, label, vector, candidates, periods, report }: CardInput): Block[] {
  const sides = [
    ['learnt from', describePeriod(periods.trainStart, periods.trainEnd), report.train],
    [judgedBy(report), describePeriod(periods.testStart, periods.testEnd), report.test],
  ] as const;
  return [
    text(purposeText({ app, label, vector, candidates, report })),
    table(
      ['', 'period', 'rows', 'positive'],
      sides.map(([name, period, { rows, positives }]) => [
        name,
        period,
        String(rows),
        `${String(positives)} (${percent(positives / rows)})`,
      ]),
    ),
  ];
}

function quality({ metrics, report }: CardInput): Block[] {
  const { intervals, baseline } = report;
  const rows = Object.entries(METRICS).flatMap(([name, meaning]) => {
    const value = metrics[name];
    if (value === undefined) return [];
    const interval = intervals[name];
    const without = baseline.metrics[name];
    return [
      [
        name,
        digits(value),
        interval === undefined ? '' : between(interval),
        without === undefined ? '' : digits(without),
        meaning,
      ],
    ];
  });
  return [
    table(['metric', 'value', 'interval', 'baseline', 'is'], rows),
    text(
      `Intervals hold for other ${unitOf(report)} of the same kind: ${levelOf(intervals)} of the resamples of the judged ${unitOf(report)} lie in them. They do not tell ` +
        `what a change of the world does. ${baselineText(report)}`,
    ),
  ];
}

/** What is judged, and drawn anew for intervals. */
function unitOf({ task }: ModelReport): string {
  return task === 'ranking' ? 'groups' : 'rows';
}

function baselineText({ task, baseline, groups: counts }: ModelReport): string {
  if (task !== 'ranking') {
    return `The baseline gives every event the share of positives in training, ${digits(baseline.probability)}.`;
  }
  const judged =
    counts === undefined
      ? ''
      : ` ${String(counts.judged)} of ${String(counts.test)} groups are judged, those with a positive row; ${String(counts.train)} were learnt from.`;
  return `The baseline is an order by chance.${judged}`;
}

/** The verdicts on the gates. */
export function gates({ gates: verdicts }: Pick<CardInput, 'gates'>): Block[] {
  if (verdicts.length === 0) return [text('None: every version may be released.')];
  return [
    table(
      ['metric', 'must be', 'is', ''],
      verdicts.map((verdict) => [
        gateMeasureText(verdict),
        gateBoundText(verdict),
        gateValueText(verdict, digits),
        verdict.passed ? 'passed' : 'FAILED',
      ]),
    ),
  ];
}

function curves({ curves: { roc, precisionRecall, calibration }, test, task }: ModelReport): Block[] {
  // Scores to sort by within a group say nothing across groups, and are no probabilities.
  if (task === 'ranking') return [];
  const share = test.positives / test.rows;
  const line = [
    [0, 0],
    [1, 1],
  ] as const;
  const flat = [
    [0, share],
    [1, share],
  ] as const;
  const plots = [
    {
      title: 'ROC curve',
      description: `Positives found against false alarms. To find half of the positives, ${percent(reach(roc, 0.5))} of the negatives are alarms too. Dashed: chance.`,
      x: 'share of negatives that are alarms',
      y: 'share of positives found',
      lines: [
        { name: 'chance', points: line, isReference: true },
        { name: 'model', points: roc },
      ],
    },
    {
      title: 'Precision and recall',
      description: `How many alarms are right against how many positives are found. With half of the positives found, ${percent(at(precisionRecall, 0.5))} of the alarms are right. Dashed: chance.`,
      x: 'share of positives found (recall)',
      y: 'share of alarms that are right (precision)',
      lines: [
        { name: 'chance', points: flat, isReference: true },
        { name: 'model', points: precisionRecall },
      ],
    },
    {
      title: 'Calibration',
      description:
        'Share of positives against the probability that was given, in ten bins of equal width; a bin with few rows may lie anywhere. Dashed: where the two are equal.',
      x: 'probability given',
      y: 'share of positives',
      lines: [
        { name: 'equal', points: line, isReference: true },
        {
          name: 'model',
          points: calibration.map(({ predicted, observed }) => [predicted, observed] as const),
          hasDots: true,
        },
      ],
    },
  ];
  return plots.map((plot) => ({ kind: 'plot', svg: linePlot(plot), description: plot.description }));
}

function slices(report: ModelReport): Block[] {
  const { metric, list, worst } = report.slices;
  const unit = unitOf(report);
  if (list.length === 0) return [text(`No input parts the judged ${unit} in a way that can be measured.`)];
  const verdict =
    worst === null
      ? `No slice has enough ${unit === 'rows' ? 'rows of both classes' : unit} to be measured.`
      : `It does worst where '${worst.input}' is ${worst.values}: the slice whose ${metric} is lowest at the upper end of its interval, so that a small slice is not named for bad luck.`;
  return [
    text(verdict),
    table(
      ['input', 'is', unit, 'positive', metric, 'interval'],
      list.map(({ input, values, rows, positives, value, interval }) => [
        input,
        values,
        String(rows),
        String(positives),
        value === null ? 'not measurable' : digits(value),
        interval === null ? '' : between(interval),
      ]),
    ),
  ];
}

function importance({ importance: { metric, rows, inputs: list } }: ModelReport): Block[] {
  const shown = list.slice(0, BARS_MAX);
  const description =
    `How much ${metric} falls on ${String(rows)} test rows when the values of one input are shuffled among them. Inputs that say the same ` +
    `as others seem less important than they are.`;
  if (shown.length === 0) return [text('Not measured: it needs test rows of both classes.')];
  const bars = shown.map(({ name, drop, spread }) => ({
    name,
    value: drop,
    text: `${digits(drop)} ± ${digits(spread)}`,
  }));
  return [
    { kind: 'plot', svg: barPlot({ title: 'Importance of inputs', description, bars }), description },
    table(
      ['input', `${metric} falls by`, 'spread'],
      list.map(({ name, drop, spread }) => [name, digits(drop), digits(spread)]),
    ),
  ];
}

function inputs({ inputs: list }: ModelReport): Block[] {
  const wanted = [0.01, 0.25, 0.5, 0.75, 0.99];
  const numeric = list.filter(({ shares }) => shares === undefined);
  const categorical = list.flatMap(({ name, missing, shares }) =>
    shares === undefined ? [] : [{ name, missing, shares }],
  );
  const blocks = [text('Of the training rows. Later rows that look otherwise are a reason to train again.')];
  if (numeric.length > 0) {
    blocks.push(
      table(
        ['input', 'missing', ...wanted.map((share) => percent(share))],
        numeric.map(({ name, missing, quantiles }) => [
          name,
          percent(missing),
          ...wanted.map((share) => {
            const value = quantiles[REFERENCE_SHARES.indexOf(share)];
            return value === undefined ? '' : digits(value);
          }),
        ]),
      ),
    );
  }
  if (categorical.length > 0) {
    blocks.push(
      table(
        ['input', 'missing', 'categories'],
        categorical.map(({ name, missing, shares }) => [name, percent(missing), sharesText(shares)]),
      ),
    );
  }
  return blocks;
}

/** The most frequent categories first; what the vector lists and no row has comes last. */
function sharesText(shares: NonNullable<ModelReport['inputs'][number]['shares']>): string {
  const falling = shares.toSorted((left, right) => right.share - left.share);
  const shown = falling.slice(0, CATEGORIES_SHOWN_MAX).map(({ category, share }) => {
    const name = category === '' ? "''" : category;
    return `${name} ${percent(share)}`;
  });
  const others = falling.length - shown.length;
  return [...shown, ...(others === 0 ? [] : [`${String(others)} more`])].join(', ');
}

/** Where a version comes from. */
export function lineage(facts: Readonly<Record<string, unknown>>): Block[] {
  return [
    table(
      ['', ''],
      Object.entries(facts).map(([name, value]) => [
        name,
        typeof value === 'string' ? value : JSON.stringify(value),
      ]),
    ),
  ];
}

/** The x of the first point of a rising curve whose y is at least that. */
function reach(points: readonly (readonly [number, number])[], y: number): number {
  return points.find((point) => point[1] >= y)?.[0] ?? 1;
}

/** The y of the first point whose x is at least that. */
function at(points: readonly (readonly [number, number])[], x: number): number {
  return points.find((point) => point[0] >= x)?.[1] ?? 0;
}

export function levelOf(intervals: Readonly<Record<string, Interval>>): string {
  const [first] = Object.values(intervals);
  return first === undefined ? 'most' : percent(first.level);
}
