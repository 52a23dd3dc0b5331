import { grouped, metricText, RandomStream, roundTo } from '@tandem-examples/driver';
import { aucWithin, logLoss } from '../scores.ts';

/** A case that a later version than the first decided, with the score that the first gave it. */
export interface Pair {
  readonly version: number;
  readonly score: number;
  readonly firstScore: number;
  readonly isPositive: boolean;
}

/** How the versions in charge did beside the first one, on cases that nobody had a finding of. */
export interface Improvement {
  readonly cases: number;
  /** Area under the ROC curve over pairs of cases that one version decided: scores of two versions have no common scale. */
  readonly auc: number | null;
  readonly logLoss: number | null;
  /** The same of the first version, over the same pairs and cases. */
  readonly firstAuc: number | null;
  readonly firstLogLoss: number | null;
  /** 95 % interval of `auc - firstAuc`. */
  readonly aucGain: { readonly low: number; readonly high: number } | null;
}

/** Of the interval: cases are drawn again so many times. */
const RESAMPLES = 1_000;
const SEED = 1;

/** Compares on the same cases, so that it does not matter which of them are hard. */
export function measureImprovement(pairs: readonly Pair[]): Improvement {
  const charge = pairs.map(({ version, score, isPositive }) => ({ group: version, score, isPositive }));
  const first = pairs.map(({ version, firstScore, isPositive }) => ({
    group: version,
    score: firstScore,
    isPositive,
  }));
  return {
    cases: pairs.length,
    auc: rounded(aucWithin(charge)),
    logLoss: rounded(logLoss(charge)),
    firstAuc: rounded(aucWithin(first)),
    firstLogLoss: rounded(logLoss(first)),
    aucGain: gainOf(charge, first),
  };
}

type Rows = Parameters<typeof aucWithin>[0];

/** Percentile bootstrap: both are measured on the same draw of cases. */
function gainOf(charge: Rows, first: Rows): Improvement['aucGain'] {
  const chance = new RandomStream(SEED);
  const gains: number[] = [];
  for (let resample = 0; resample < RESAMPLES; resample += 1) {
    const drawn = charge.map(() => chance.integer(charge.length));
    const [own, other] = [charge, first].map((rows) =>
      aucWithin(drawn.flatMap((place) => rows[place] ?? [])),
    );
    if (typeof own === 'number' && typeof other === 'number') gains.push(own - other);
  }
  if (gains.length < RESAMPLES / 2) return null;
  gains.sort((one, other) => one - other);
  const at = (share: number): number => roundTo(gains[Math.round(share * (gains.length - 1))] ?? 0, 6);
  return { low: at(0.025), high: at(0.975) };
}

/**
 * What speaks against an improvement, in words. The log loss has to be lower: probabilities are what the model
 * is for. Of the area under the curve it is asked that it is not surely lower, because there are data on which
 * the first version already orders nearly all cases right.
 */
export function improvementFaults(improvement: Improvement): string[] {
  const { cases, auc, logLoss: loss, firstAuc, firstLogLoss, aucGain } = improvement;
  if (cases === 0) return ['no version after the first decided a case'];
  if (aucGain === null || loss === null || firstLogLoss === null)
    return [`${grouped(cases)} later cases are too much alike: nothing can be compared`];
  return aucGain.high >= 0 && loss < firstLogLoss
    ? []
    : [
        `the model did not improve: on ${grouped(cases)} later cases AUC ${metricText(auc)} and log loss ${metricText(loss)}, ` +
          `the first version's are ${metricText(firstAuc)} and ${metricText(firstLogLoss)}`,
      ];
}

function rounded(value: number | null): number | null {
  return value === null ? null : roundTo(value, 6);
}
