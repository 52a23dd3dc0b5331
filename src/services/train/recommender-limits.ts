/** Limits of what a recommender is trained by, and judged by. */
export const RECOMMENDER_TRAINING = {
  /** Interactions of a training table: 25 million take 500 MB as an artefact, and some 3 GB while it is learnt from. */
  interactionsMax: 25_000_000,
  /** Different items among them, of which the recommender keeps the most popular. */
  itemsMax: 1_000_000,
  /** Users who are judged by, drawn at random: their means then hold to half a percent, and scoring them takes seconds. */
  judgedUsersMax: 20_000,
  /** Recommendations that a user sees when it is judged. */
  shown: 10,
  /** Resamples of the interval of a metric, and of a slice. */
  resamples: 300,
  sliceResamples: 100,
  /** Share of the resamples in an interval. */
  level: 0.95,
  /** Groups of users by how many items they have. */
  slices: 4,
  /** Points of the curve of how recommendations spread over the items. */
  curvePointsMax: 100,
  /** Most popular items that the card names. */
  popularShown: 10,
} as const;
