import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { REFERENCE_SHARES, type ModelReport } from '../report.ts';
import { type CardInput, cardOf } from './card.ts';
import { barPlot, linePlot } from './plot.ts';

const interval = { low: 0.7, high: 0.9, level: 0.95 };
const report: ModelReport = {
  form: 1,
  train: { rows: 1_000, positives: 100 },
  test: { rows: 400, positives: 40 },
  metrics: { aucRoc: 0.8123456 },
  intervals: { aucRoc: interval },
  baseline: { probability: 0.1, metrics: { aucRoc: 0.5 } },
  curves: {
    roc: [
      [0, 0],
      [0.25, 0.5],
      [1, 1],
    ],
    precisionRecall: [
      [0, 1],
      [0.5, 0.4],
      [1, 0.1],
    ],
    calibration: [{ rows: 400, predicted: 0.1, observed: 0.12 }],
  },
  slices: {
    metric: 'aucRoc',
    list: [
      { input: 'night', values: '1', rows: 100, positives: 12, value: 0.6, interval },
      { input: 'night', values: 'missing', rows: 3, positives: 0, value: null, interval: null },
    ],
    worst: { input: 'night', values: '1' },
  },
  importance: { metric: 'aucRoc', rows: 400, inputs: [{ name: 'amount', drop: 0.2, spread: 0.01 }] },
  inputs: [{ name: 'amount', missing: 0.02, quantiles: REFERENCE_SHARES.map((share) => 100 * share) }],
};
const input: CardInput = {
  app: 'bank',
  model: 'fraud',
  vector: 'card',
  label: 'reported',
  candidates: 'payments',
  periods: {
    trainStart: Date.parse('2026-01-01'),
    trainEnd: Date.parse('2026-01-08'),
    testStart: Date.parse('2026-01-15'),
    testEnd: Date.parse('2026-01-22'),
  },
  metrics: report.metrics,
  gates: [{ metric: 'aucRoc', direction: 'atLeast', bound: 0.9, value: 0.8123456, passed: false }],
  report,
  lineage: { dataset: 'sha256:1', trainer: { kind: 'gbdt' } },
};

describe('cardOf', () => {
  it('tells quality beside the baseline, failed gates, the worst slice and where the model comes from', () => {
    const { markdown } = cardOf(input);
    expect(markdown).toContain('| aucRoc | 0.8123 | 0.7 to 0.9 | 0.5 |');
    expect(markdown).toContain('| aucRoc | at least 0.9 | 0.8123 | FAILED |');
    expect(markdown).toContain("It does worst where 'night' is 1");
    expect(markdown).toContain('| night | missing | 3 | 0 | not measurable |  |');
    expect(markdown).toContain('| learnt from | 2026-01-01 .. 2026-01-08 | 1000 | 100 (10 %) |');
    expect(markdown).toContain('To find half of the positives, 25 % of the negatives are alarms too.');
    expect(markdown).toContain('| dataset | sha256:1 |');
  });

  it('tells categories by their names, the most frequent first', () => {
    const shares = [
      { category: 'F', share: 0.3 },
      { category: 'M', share: 0.65 },
      { category: '', share: 0 },
    ];
    const inputs = [...report.inputs, { name: 'sex', missing: 0.05, quantiles: [], shares }];
    const { markdown, html } = cardOf({ ...input, report: { ...report, inputs } });
    expect(markdown).toContain(
      "| input | missing | categories |\n| --- | --- | --- |\n| sex | 5 % | M 65 %, F 30 %, '' 0 % |",
    );
    expect(markdown).toContain('| amount | 2 % | 1 | 25 |');
    expect(html).toContain('M 65 %');
    const many = Array.from({ length: 14 }, (_, index) => ({ category: `c${String(index)}`, share: 0 }));
    const wide = cardOf({
      ...input,
      report: { ...report, inputs: [{ name: 'sex', missing: 0, quantiles: [], shares: many }] },
    });
    expect(wide.markdown).toContain('c11 0 %, 2 more |');
  });

  it('is one HTML file that loads nothing and runs nothing', () => {
    const { html } = cardOf(input);
    expect(html.match(/<svg /g)).toHaveLength(4);
    expect(html).toContain("default-src 'none'");
    expect(html).not.toMatch(/<script|<link|\bsrc=|url\(|@import/);
  });

  it('has the same bytes whenever it is made', () => {
    expect(cardOf(structuredClone(input))).toEqual(cardOf(input));
  });

  it('lets no name become an element or a cell', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('<', '>', '"', '&', '|', '\n', '`', 'a', '*') }),
        (name) => {
          const slices = { ...report.slices, worst: { input: name, values: name } };
          const inputs = (of: string) => [
            { name: of, missing: 0, quantiles: [] },
            { name: of, missing: 0, quantiles: [], shares: [{ category: of, share: 1 }] },
          ];
          const named = { ...input, model: name, report: { ...report, slices, inputs: inputs(name) } };
          const [plain, marked] = [
            cardOf({ ...input, report: { ...report, inputs: inputs('x') } }),
            cardOf(named),
          ];
          const tags = (html: string): number => html.match(/<[a-z/!]/g)?.length ?? 0;
          // The tables of inputs have one row each in both.
          expect(tags(marked.html)).toBe(tags(plain.html));
          const cells = (markdown: string): number => markdown.match(/(?<!\\)\|/g)?.length ?? 0;
          expect(cells(marked.markdown)).toBe(cells(plain.markdown));
          expect(marked.markdown.split('\n').length).toBe(plain.markdown.split('\n').length);
        },
      ),
    );
  });
});

describe('plots', () => {
  it('draw the corners of the unit square inside the picture, and tell what they show', () => {
    const svg = linePlot({
      title: 'A <plot>',
      description: 'From corner to corner',
      x: 'x',
      y: 'y',
      lines: [
        {
          name: 'line',
          points: [
            [0, 0],
            [1, 1],
          ],
        },
      ],
    });
    expect(svg).toContain('points="46,240 348,12"');
    expect(svg).toContain('<title>A &lt;plot&gt;</title><desc>From corner to corner</desc>');
  });

  it('draw no bar for what does not help', () => {
    const bars = [
      { name: 'a', value: 2, text: '2' },
      { name: 'b', value: -1, text: '-1' },
    ];
    const svg = barPlot({ title: 'bars', description: '', bars });
    expect([...svg.matchAll(/width="([\d.]+)" height="16"/g)].map(([, width]) => width)).toEqual([
      '486',
      '0',
    ]);
  });
});
