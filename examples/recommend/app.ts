import { defineApp, recommendation } from 'tandem';
import { byShelf, ranker, shelf, visits } from './shop.ts';

/** Twenty items for a reader: proposed by the shelf, ordered by the ranker. */
const forYou = recommendation('for_you', {
  request: visits,
  candidates: shelf,
  take: 100,
  rank: { model: ranker, item: 'itemId', score: 'candidateScore' },
  answer: 20,
});

export default defineApp('shop', {
  decisions: {},
  recommendations: { for_you: forYou, by_shelf: byShelf },
  recommenders: [shelf],
});
