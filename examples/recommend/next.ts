import { defineApp, defineModel, features, mean, recommendation, std, vector } from 'tandem';
import {
  byShelf,
  clicked,
  clicks,
  groups,
  impressions,
  ranker,
  shelf,
  split,
  trainer,
  visits,
} from './shop.ts';

/*
 * The shop with one idea more: readers keep to the books of some years. This module takes the place of app.ts while the shop is
 * open; nothing else changes, and until the new ranker is released the old one goes on.
 */

/** From which years a reader reads. */
const taste = features('taste', { from: clicks, key: 'userId' }, (click) => ({
  year: mean(click.year).over('90d'),
  spread: std(click.year).over('90d'),
}));

const shownToTaste = vector('shown_to_taste', {
  candidate: impressions,
  score: (impression) => impression.candidateScore,
  ...groups,
  taste,
});

const tasteRanker = defineModel('taste_ranker', { vector: shownToTaste, label: clicked, trainer, split });

const forYou = recommendation('for_you', {
  request: visits,
  candidates: shelf,
  take: 100,
  rank: { model: tasteRanker, item: 'itemId', score: 'candidateScore' },
  answer: 20,
});

export default defineApp('shop', {
  decisions: {},
  recommendations: { for_you: forYou, by_shelf: byShelf },
  recommenders: [shelf],
  models: [ranker],
});
