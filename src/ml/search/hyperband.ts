import type { HyperbandOptions, SearchPlan } from './options.ts';
import { checkWhole } from './options.ts';
import { shown } from './space.ts';
import type { Trial } from './trial.ts';
import { bestFirst } from './trial.ts';

/** One round of successive halving: so many trials with so much resource each. */
export interface HyperbandRung {
  readonly trials: number;
  readonly resource: number;
}

/** Rungs of one bracket, from many trials of little resource to few of much. */
export type HyperbandBracket = readonly HyperbandRung[];

/** @internal Where the next trial of a Hyperband search belongs. */
export interface HyperbandPlace {
  readonly bracket: number;
  readonly rung: number;
  readonly resource: number;
  /** The trial to go on with, or none for a new configuration. */
  readonly promoted: Trial | undefined;
}

/** Largest resource: products of it stay whole numbers. */
const RESOURCE_MAX = 2 ** 40;

/**
 * @internal Fills in the defaults.
 *
 * @throws RangeError naming the option that is missing or out of its bounds.
 */
export function readHyperband(options: HyperbandOptions | undefined): Required<HyperbandOptions> {
  if (options === undefined) throw new RangeError('The algorithm hyperband needs the options hyperband');
  const { resourceMin, resourceMax, reduction = 3, proposal = 'random' } = options;
  checkWhole('hyperband.resourceMax', resourceMax, { least: 2, most: RESOURCE_MAX });
  checkWhole('hyperband.resourceMin', resourceMin, { least: 1, most: resourceMax - 1 });
  checkWhole('hyperband.reduction', reduction, { least: 2, most: 1000 });
  if (proposal !== 'random' && proposal !== 'tpe') {
    throw new RangeError(`hyperband.proposal must be random or tpe, not ${shown(proposal)}`);
  }
  return { resourceMin, resourceMax, reduction, proposal };
}

/**
 * The brackets of one pass of Hyperband (Li et al., 2018, Algorithm 1): with s halvings left of at most S,
 * bracket s starts ceil((S + 1) / (s + 1) * reduction^s) trials with resourceMax / reduction^s each. The most
 * aggressive bracket comes first, the one without any halving last.
 *
 * @throws RangeError naming the option that is out of its bounds.
 */
export function hyperbandBrackets(options: HyperbandOptions): readonly HyperbandBracket[] {
  const { resourceMin, resourceMax, reduction } = readHyperband(options);
  // Counted, because a logarithm may fall just short of a whole number.
  let halvingsMax = 0;
  while (resourceMax / reduction ** (halvingsMax + 1) >= resourceMin) halvingsMax += 1;
  return Array.from({ length: halvingsMax + 1 }, (_, index) => {
    const halvings = halvingsMax - index;
    const trials = Math.ceil(((halvingsMax + 1) * reduction ** halvings) / (halvings + 1));
    return Array.from({ length: halvings + 1 }, (__, rung) => ({
      trials: Math.floor(trials / reduction ** rung),
      resource: Math.max(resourceMin, Math.round(resourceMax / reduction ** (halvings - rung))),
    }));
  });
}

/**
 * @internal Where the next trial goes: the earliest bracket that has work to give out. A rung waits for all
 * trials of the one below; meanwhile later brackets are begun, so no worker is idle. After the last bracket
 * comes the first again.
 */
export function nextHyperbandPlace(
  plan: SearchPlan,
  brackets: readonly HyperbandBracket[],
  trials: readonly Trial[],
): HyperbandPlace {
  const byBracket: Trial[][] = [];
  for (const trial of trials) (byBracket[trial.bracket as number] ??= []).push(trial);
  for (let bracket = 0; ; bracket += 1) {
    const rungs = brackets[bracket % brackets.length] as HyperbandBracket;
    const place = nextInBracket(rungs, byBracket[bracket] ?? [], plan.goal);
    if (place !== undefined) return { bracket, ...place };
  }
}

/** Nothing when the bracket is finished or waits for trials that are running. */
function nextInBracket(
  rungs: HyperbandBracket,
  own: readonly Trial[],
  goal: SearchPlan['goal'],
): Omit<HyperbandPlace, 'bracket'> | undefined {
  let ranked: readonly Trial[] = [];
  for (const [rung, { trials, resource }] of rungs.entries()) {
    const here = own.filter((trial) => trial.rung === rung);
    // Failed trials leave places empty: nobody worse than planned is promoted for them.
    const wanted = rung === 0 ? trials : Math.min(trials, ranked.length);
    if (here.length < wanted) {
      const begun = new Set(here.map((trial) => trial.continues));
      const promoted = rung === 0 ? undefined : ranked.find((trial) => !begun.has(trial.number));
      return { rung, resource, promoted };
    }
    if (here.some((trial) => trial.status === 'running')) return undefined;
    ranked = bestFirst(here, goal);
  }
  return undefined;
}
