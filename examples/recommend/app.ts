import { defineApp, recommendation } from 'tandem';
import { ranker, shelf, visits } from './shop.ts';

/** Ten items for a reader: proposed by the shelf, ordered by the ranker. */
export const forYou = recommendation('for_you', {
  request: visits,
  candidates: shelf,
  take: 100,
  rank: { model: ranker, item: 'itemId', score: 'candidateScore' },
  answer: 10,
});

export default defineApp('shop', {
  decisions: {},
  recommendations: { for_you: forYou },
  recommenders: [shelf],
});
