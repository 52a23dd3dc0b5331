import { inWords, type SearchOutcome, trialTable } from '../search-outcome.ts';
import type { Section } from './blocks.ts';

/** Trials that a card lists, the best ones. */
const TRIALS_MAX = 10;

/** How the options of the trainer were chosen. */
export function searchSection(outcome: SearchOutcome): Section {
  const { head, rows } = trialTable(outcome, TRIALS_MAX);
  return {
    title: 'How its options were chosen',
    blocks: [
      {
        kind: 'text',
        text: `${inWords(outcome)} The best of many trials looks better by the rows that chose it than it is. ${caution(outcome)}`,
      },
      { kind: 'table', head, rows },
    ],
  };
}

function caution({ isApart }: SearchOutcome): string {
  return isApart
    ? 'No row of the test period took part: what the model is worth stands above.'
    : 'The metrics above are of those rows too, and a little too good for it: the models of the folds had these options from all rows.';
}
