import type { GateVerdict } from '../../../contract/index.ts';
import type { Recommender } from '../../../define/index.ts';
import { describePeriod } from '../periods.ts';
import type { FittedRecommender } from '../recommender-fit-step.ts';
import type { RecommenderReport } from '../recommender-report.ts';
import { type Block, htmlOf, markdownOf, type Page, type Section } from './blocks.ts';
import { type Card, gates, levelOf, lineage } from './card.ts';
import { between, digits, percent, table, text } from './format.ts';
import { linePlot } from './plot.ts';

/** What the card of a recommender tells. */
export interface RecommenderCardInput {
  readonly app: string;
  readonly recommender: Recommender;
  /** First and last instant of the interactions, in milliseconds. */
  readonly period: { readonly from: number; readonly to: number };
  /** What learnt from all interactions: the version. */
  readonly fitted: FittedRecommender;
  readonly metrics: Readonly<Record<string, number>>;
  readonly gates: readonly GateVerdict[];
  readonly report: RecommenderReport;
  /** Facts by name: the dataset, hashes, the trainer. */
  readonly lineage: Readonly<Record<string, unknown>>;
}

/** Metrics in the order in which they are told, with what they say. */
const METRICS: Readonly<Record<string, string>> = {
  ndcg10: 'how many later items are among ten recommendations and how far up, 1 at best',
  recall10: 'share of the later items that are among ten recommendations',
  map10: 'precision down to each hit, averaged over the hits that are possible',
  mrr10: 'one over the rank of the first hit',
  hitRate10: 'share of the users with any hit',
  coverage10: 'share of the items that are recommended to anybody',
};

/**
 * The card of a recommender's version, in the form of those of models: what it was learnt from, how good it is and for whom it is worst,
 * what it recommends, and where it comes from. Nothing in it depends on when it is made.
 */
export function recommenderCardOf(input: RecommenderCardInput): Card {
  const page: Page = { title: `Model card: ${input.recommender.name}`, sections: sectionsOf(input) };
  return { markdown: markdownOf(page), html: htmlOf(page) };
}

function sectionsOf(input: RecommenderCardInput): Section[] {
  return [
    { title: 'What it does', blocks: purpose(input) },
    { title: 'How good it is', blocks: quality(input) },
    { title: 'Gates', blocks: gates(input) },
    { title: 'For whom it is worst', blocks: slices(input.report) },
    { title: 'What it recommends', blocks: recommended(input.report) },
    { title: 'Where it comes from', blocks: lineage(input.lineage) },
  ];
}

function purpose({ app, recommender, period, fitted, report }: RecommenderCardInput): Block[] {
  const { interactions, weight, itemsMax } = recommender;
  const { train } = report;
  const leftOut =
    fitted.itemsLeftOut === 0
      ? ''
      : ` ${String(fitted.itemsLeftOut)} less popular items are left out, as ${String(itemsMax)} are kept.`;
  return [
    text(
      `Scores the items of '${interactions.name}' in the app '${app}' for a user, by the items that the user had to do with` +
        `${weight === undefined ? '' : `, weighted by '${weight}'`}; who has none gets the most popular ones.${leftOut} It says ` +
        `nothing of items that it did not learn from. Interactions of ${describePeriod(period.from, period.to)}.`,
    ),
    table(
      ['', 'interactions', 'users', 'items'],
      [
        ['the version learnt from', ...[fitted.interactions, fitted.users, fitted.items].map(String)],
        ['what was judged learnt from', ...[train.interactions, train.users, train.items].map(String)],
      ],
    ),
  ];
}

function quality({ recommender, metrics, report }: RecommenderCardInput): Block[] {
  const { intervals, baseline, judged, gain } = report;
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
  const { fraction, core } = recommender.split;
  const among =
    core === 1
      ? ''
      : ` Only users with ${String(core)} items and items with ${String(core)} users are judged by.`;
  const drawn = judged.users === judged.of ? '' : `, drawn at random from ${String(judged.of)}`;
  return [
    table(['metric', 'value', 'interval', 'most popular', 'is'], rows),
    text(
      `Of each of ${String(judged.users)} users${drawn}, the last ${percent(fraction)} of the items were to be predicted from the ones before, ` +
        `${String(judged.items)} in all; ${String(judged.unknown)} of them are unknown to what was judged and count as missed.${among} ` +
        `Others' later interactions may lie before a user's, so that what is new to everybody is easier here than in use.`,
    ),
    text(
      `Intervals hold for other users of the same kind: ${levelOf(intervals)} of the resamples of the users lie in them. In ${gain.metric} it is ` +
        `${digits(gain.difference)} better than the most popular items for the same users` +
        `${gain.interval === null ? '.' : `, ${between(gain.interval)}.`}`,
    ),
  ];
}

function slices({ slices: { metric, list, worst } }: RecommenderReport): Block[] {
  const verdict =
    worst === null
      ? 'All users have about as many items.'
      : `It does worst for users who had ${worst} items: the slice whose ${metric} is lowest at the upper end of its interval.`;
  return [
    text(verdict),
    table(
      ['items before', 'users', metric, 'interval'],
      list.map(({ items, users, value, interval }) => [
        items,
        String(users),
        digits(value),
        interval === null ? '' : between(interval),
      ]),
    ),
  ];
}

function recommended({ spread, popular, train }: RecommenderReport): Block[] {
  const tenth = spread.findLast(([x]) => x <= 0.1)?.[1] ?? 0;
  const description =
    `Share of all recommendations that the most recommended items get. The first tenth of ${String(train.items)} items gets ` +
    `${percent(tenth)}. Dashed: all items are recommended equally often.`;
  const plot = {
    title: 'Spread over the items',
    description,
    x: 'share of the items, the most recommended first',
    y: 'share of the recommendations',
    lines: [
      {
        name: 'equal',
        points: [
          [0, 0],
          [1, 1],
        ] as const,
        isReference: true,
      },
      { name: 'recommended', points: spread },
    ],
  };
  return [
    { kind: 'plot', svg: linePlot(plot), description },
    text('Who has no items gets the most popular ones, in this order:'),
    table(
      ['item', 'sum of weights'],
      popular.map(({ item, popularity }) => [item, digits(popularity)]),
    ),
  ];
}
