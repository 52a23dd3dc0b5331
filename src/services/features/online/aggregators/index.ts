import { AGGREGATE_LIMITS, type Feature } from '../../../../define/index.ts';
import type { Aggregator } from './aggregator.ts';
import { Distinct } from './distinct.ts';
import { Ends } from './ends.ts';
import { Histogram } from './histogram.ts';
import { Moments } from './moments.ts';
import { Percentile } from './percentile.ts';
import { Top } from './top.ts';

export { type Aggregator, emptyValue, isStale } from './aggregator.ts';

/** What keeps the state of a feature whose kind has no place among the usual statistics. */
export function aggregatorOf({ kind, parameters = {} }: Feature): Aggregator {
  switch (kind) {
    case 'variance':
    case 'std':
      return new Moments();
    case 'first':
      return new Ends(1, 'earliest');
    case 'firstK':
      return new Ends(parameters.size ?? 1, 'earliest');
    case 'lastK':
      return new Ends(parameters.size ?? 1, 'latest');
    case 'histogram':
      return new Histogram(parameters.bounds ?? []);
    case 'distinct':
      return new Distinct(parameters.limit ?? AGGREGATE_LIMITS.exactDefault);
    case 'topK':
      return new Top(parameters.limit ?? AGGREGATE_LIMITS.distinctDefault);
    case 'percentile':
      return new Percentile(parameters.accuracy ?? AGGREGATE_LIMITS.accuracyDefault);
    case 'count':
    case 'sum':
    case 'mean':
    case 'min':
    case 'max':
    case 'last':
    case 'expression':
      throw new TypeError(`${kind} keeps no state of its own`);
  }
}
