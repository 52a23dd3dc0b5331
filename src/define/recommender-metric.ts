/**
 * Metrics of a recommender, each the mean over the users who are judged by their later items, in [0, 1]. A user sees 10
 * recommendations. `coverage10` is the share of the items that is recommended to anybody.
 */
export const RECOMMENDER_METRICS = [
  'ndcg10',
  'recall10',
  'map10',
  'mrr10',
  'hitRate10',
  'coverage10',
] as const;

export type RecommenderMetricName = (typeof RECOMMENDER_METRICS)[number];

/** @internal Whether it is a metric of recommenders. */
export function isRecommenderMetric(metric: string): metric is RecommenderMetricName {
  return (RECOMMENDER_METRICS as readonly string[]).includes(metric);
}
