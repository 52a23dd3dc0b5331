import {
  atLeast,
  byTime,
  count,
  defineModel,
  defineRecommender,
  ease,
  features,
  gbdt,
  id,
  integer,
  key,
  label,
  last,
  mean,
  number,
  recommendation,
  source,
  text,
  timestamp,
  vector,
} from 'tandem';

/** What the shop has: an event when an item is listed, or listed anew. */
export const items = source('items', {
  id: 'listingId',
  time: 'at',
  key: 'itemId',
  fields: { listingId: id(), at: timestamp(), itemId: key(), genre: text(), year: integer() },
});

/** A reader comes by and is to be shown something. */
export const visits = source('visits', {
  id: 'visitId',
  time: 'at',
  key: 'userId',
  fields: { visitId: id(), at: timestamp(), userId: key({ personal: 'pseudonym' }) },
});

/** One item that was shown in a visit. */
export const impressions = source('impressions', {
  id: 'impressionId',
  time: 'at',
  key: 'userId',
  fields: {
    impressionId: id(),
    at: timestamp(),
    visitId: key(),
    userId: key({ personal: 'pseudonym' }),
    itemId: key(),
    candidateScore: number(),
  },
});

/** A reader opens an item: one that was shown, or one found in another way, which names no impression that there was. */
export const clicks = source('clicks', {
  id: 'clickId',
  time: 'at',
  key: 'userId',
  fields: {
    clickId: id(),
    at: timestamp(),
    userId: key({ personal: 'pseudonym' }),
    itemId: key(),
    impressionId: key(),
    year: integer(),
  },
});

/** Whether what was shown was opened; half an hour later it is taken as not wanted. */
export const clicked = label('clicked', {
  of: impressions,
  from: clicks,
  on: 'impressionId',
  maturesAfter: '30m',
});

/** Which items go together: proposes a hundred of them, from what a reader opened until a moment ago. */
export const shelf = defineRecommender('shelf', {
  interactions: clicks,
  user: 'userId',
  item: 'itemId',
  trainer: ease({ lambda: 100 }),
  recent: 50,
  gates: [atLeast('ndcg10', 0.03)],
});

/** Twenty items in the shelf's own order: what a ranker must do better than. */
export const byShelf = recommendation('by_shelf', {
  request: visits,
  candidates: shelf,
  answer: 20,
  ledger: 'buffered',
});

/** How wanted an item is just now. */
const demand = features('demand', { from: clicks, key: 'itemId' }, () => ({
  clicks: count().over('6h', '1d', '7d', '30d'),
}));

/** How often an item was shown. */
const exposure = features('exposure', { from: impressions, key: 'itemId' }, () => ({
  times: count().over('1d', '7d'),
}));

/** The share of the times an item was shown in which it was opened, as far as that is known. */
const appeal = features('appeal', { from: clicked.matured(), key: 'itemId', hop: 'exact' }, (shown) => ({
  share: mean(shown.clicked).over('1d', '7d'),
}));

/** How much a reader reads. */
const reader = features('reader', { from: clicks, key: 'userId' }, () => ({
  clicks: count().over('1d', '30d'),
}));

/** What the item is. */
const listing = features('listing', { from: items, key: 'itemId' }, (item) => ({
  year: last(item.year).over('400d'),
}));

export const groups = { demand, exposure, appeal, reader, listing };

/** What a shown item is ranked by. */
const shown = vector('shown', {
  candidate: impressions,
  score: (impression) => impression.candidateScore,
  ...groups,
});

/** Few visits teach little: small trees, and what the shelf thinks more of is never thought less of for that. */
export const trainer = gbdt({
  objective: 'rank',
  groupBy: 'visitId',
  rounds: 60,
  depthMax: 3,
  leafRowsMin: 50,
  monotone: { score: 'rising' },
});
export const split = byTime({ train: '2d', delay: '1h', test: '18h', align: '1h' });

/** Puts the items that are shown together into order. */
export const ranker = defineModel('ranker', {
  vector: shown,
  label: clicked,
  trainer,
  split,
  gates: [atLeast('ndcg10', 0.3)],
});
