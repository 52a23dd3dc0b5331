import { bestTrial, searchPicture, searchResults, type SearchState, type Trial } from '../../ml/index.ts';
import type { FoldNote } from './search-folds.ts';
import { numbersOf } from './search-plan.ts';

/** What a search has found: JSON, the same bytes for the same search whoever took its trials, and when. */
export interface SearchOutcome {
  readonly form: 1;
  readonly model: string;
  /** By what trials are judged: the mean of the folds. */
  readonly metric: string;
  readonly folds: readonly FoldNote[];
  /** Whether the model is judged by other rows than these: not so in a cross-validation, which judges by all rows. */
  readonly isApart: boolean;
  /** Why it ended: all trials are done, or no time was left for more. Null while it goes on. */
  readonly ended: 'trials' | 'time' | null;
  /** Space, plan and trials. */
  readonly search: SearchState;
  /** Scores of the folds in use, by the number of the trial. */
  readonly foldScores: Readonly<Record<string, readonly number[]>>;
}

/** The best trial: its number, its mean score and what it tried. */
export interface BestTrial {
  readonly trial: number;
  readonly score: number;
  readonly parameters: Readonly<Record<string, number>>;
}

/** The best trial so far. With Hyperband `rounds` is among what it tried. */
export function bestOf({ search }: SearchOutcome): BestTrial | null {
  const best = bestTrial(search);
  if (best?.score === undefined || best.score === null) return null;
  return { trial: best.number, score: best.score, parameters: triedOf(best) };
}

/** How many trials were done and failed. */
export function countsOf({ search: { trials } }: SearchOutcome): {
  readonly done: number;
  readonly failed: number;
} {
  const count = (status: Trial['status']): number => trials.filter((trial) => trial.status === status).length;
  return { done: count('done'), failed: count('failed') };
}

/** `learningRate 0.05, depthMax 4` */
export function valuesText(values: Readonly<Record<string, number>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} ${short(value)}`)
    .join(', ');
}

/** Head and rows of a table of the trials, the best first. */
export function trialTable(
  { search, metric, foldScores }: SearchOutcome,
  rowsMax = Infinity,
): { readonly head: readonly string[]; readonly rows: readonly (readonly string[])[] } {
  const results = searchResults(search);
  const hasRounds = results.some(({ resource }) => resource !== null);
  const names = [...search.space.map(({ name }) => name), ...(hasRounds ? ['rounds'] : [])];
  const rows = results.slice(0, rowsMax).map((trial) => {
    const tried = triedOf(trial);
    return [
      trial.rank === null ? '' : String(trial.rank),
      String(trial.number),
      ...names.map((name) => (tried[name] === undefined ? '' : short(tried[name]))),
      trial.score === null ? (trial.error ?? trial.status) : short(trial.score),
      spreadOf(foldScores[trial.number]),
    ];
  });
  return { head: ['rank', 'trial', ...names, metric, 'spread'], rows };
}

/** The trials as a Markdown table, with a sentence on how they were judged. */
export function searchTable(outcome: SearchOutcome): string {
  const { head, rows } = trialTable(outcome);
  const line = (cells: readonly string[]): string => `| ${cells.map(plain).join(' | ')} |`;
  return [`${inWords(outcome)}`, '', ...[head, head.map(() => '---'), ...rows].map(line), ''].join('\n');
}

/** The search as an SVG document. */
export function searchSvg(outcome: SearchOutcome): string {
  return searchPicture(outcome.search, { title: `Search of ${outcome.model} by ${outcome.metric}` });
}

/** What was searched and what came of it. */
export function inWords(outcome: SearchOutcome): string {
  const { search, metric, folds, ended } = outcome;
  const { done, failed } = countsOf(outcome);
  const best = bestOf(outcome);
  const used = folds.filter(({ isUsed }) => isUsed);
  const [newest] = used;
  const way =
    newest === undefined || newest.judged === null
      ? `${used.length} stratified folds of the training rows`
      : `${used.length} folds in time, the newest learnt from ${String(newest.learnt)} and judged by ${newest.judged}`;
  const unused = folds.length - used.length;
  return [
    `${search.plan.algorithm}: ${done} of ${search.plan.trialsMax} trials done, ${failed} failed; judged by ${metric}, the mean of ${way}.`,
    ...(unused === 0
      ? []
      : [`${unused} further folds have not both classes on both sides and judge nothing.`]),
    ...(best === null
      ? []
      : [`Best: ${metric} ${short(best.score)}, trial ${best.trial}: ${valuesText(best.parameters)}.`]),
    ...(ended === 'time' ? ['It ended because its time was over.'] : []),
  ].join(' ');
}

function triedOf({ parameters, resource }: Trial): Record<string, number> {
  return { ...numbersOf(parameters), ...(resource === null ? {} : { rounds: resource }) };
}

/** Standard deviation of the folds' scores. */
function spreadOf(scores: readonly number[] | undefined): string {
  if (scores === undefined || scores.length < 2) return '';
  const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
  const squares = scores.reduce((sum, score) => sum + (score - mean) ** 2, 0);
  return short(Math.sqrt(squares / (scores.length - 1)));
}

function short(value: number): string {
  return String(Number(value.toPrecision(5)));
}

function plain(text: string): string {
  return text
    .replaceAll('<', '&lt;')
    .replaceAll('|', '\\|')
    .replaceAll(/\s*\n\s*/g, ' ');
}
