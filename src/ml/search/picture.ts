import { drawableScore, panelOfParameter, panelOfTrials } from './picture-panels.ts';
import type { PictureScale } from './picture-panels.ts';
import { bestTrial } from './results.ts';
import { escapeText, readable } from './svg.ts';
import type { SearchState, Trial } from './trial.ts';

/** Most trials drawn; of more every second, third and so on. */
export const PICTURE_TRIALS_MAX = 2000;
/** Most parameters with a panel, the first ones of the space. */
export const PICTURE_PARAMETERS_MAX = 24;

export interface PictureOptions {
  /** Default `Hyper-parameter search`. */
  readonly title?: string;
  /** Begins the identifiers in the picture, for pages with several. Default `search`. */
  readonly id?: string;
}

/** All lengths in pixels. */
const WIDTH = 960;
const TRIALS_TOP = 48;
const TRIALS_HEIGHT = 240;
const PANELS_TOP = 336;
const PANEL_WIDTH = 304;
const PANEL_HEIGHT = 184;
const PANELS_IN_A_ROW = 3;
const GAP = 16;

/** Scores that differ by less are drawn as equal. */
const SPAN_MIN = 1e-290;

const STYLE =
  'text{font:12px system-ui,sans-serif;fill:#1f2937}.title{font-size:16px;font-weight:600}' +
  '.axis{stroke:#9ca3af}.grid{stroke:#e5e7eb}.note{fill:#4b5563}.done{fill:#1d4ed8;fill-opacity:.55}' +
  '.failed{stroke:#b91c1c;stroke-width:1.5}.best{fill:none;stroke:#c2410c;stroke-width:2}' +
  '.winner{fill:#c2410c;stroke:#fff}';

/**
 * Draws what a search has found: the scores by trial with the best so far, then a panel for each parameter
 * with the scores by its value. Larger dots had more resource; the best so far is among the trials of the
 * largest one. The same search gives the same bytes. Title and description say the outcome in words.
 *
 * @returns an SVG document without external parts or scripts.
 */
export function searchPicture(state: SearchState, options: PictureOptions = {}): string {
  const { title = 'Hyper-parameter search', id = 'search' } = options;
  const drawn = thinned(state);
  const scale = scaleOf(state, drawn);
  const parameters = state.space.slice(0, PICTURE_PARAMETERS_MAX);
  const rows = Math.ceil(parameters.length / PANELS_IN_A_ROW);
  const height = PANELS_TOP + rows * (PANEL_HEIGHT + GAP);
  const identifier = escapeText(id);
  const panels = parameters.map((parameter, index) =>
    panelOfParameter(parameter, scale, {
      left: GAP + (index % PANELS_IN_A_ROW) * (PANEL_WIDTH + GAP / 2),
      top: PANELS_TOP + Math.floor(index / PANELS_IN_A_ROW) * (PANEL_HEIGHT + GAP),
      width: PANEL_WIDTH,
      height: PANEL_HEIGHT,
    }),
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" ` +
      `height="${height}" role="img" aria-labelledby="${identifier}-title ${identifier}-desc">`,
    `<title id="${identifier}-title">${escapeText(title)}</title>`,
    `<desc id="${identifier}-desc">${escapeText(inWords(state, drawn.length))}</desc>`,
    `<style>${STYLE}</style>`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    `<text class="title" x="${GAP}" y="28">${escapeText(title)}</text>`,
    panelOfTrials(state, scale, {
      left: GAP,
      top: TRIALS_TOP,
      width: WIDTH - 2 * GAP,
      height: TRIALS_HEIGHT,
    }),
    ...panels,
    '</svg>',
    '',
  ].join('\n');
}

/** Every n-th trial when there are too many, and always the best one. */
function thinned(state: SearchState): readonly Trial[] {
  const every = Math.ceil(state.trials.length / PICTURE_TRIALS_MAX);
  const winner = bestTrial(state);
  return state.trials.filter((trial) => trial.number % every === 0 || trial.number === winner?.number);
}

function scaleOf(state: SearchState, drawn: readonly Trial[]): PictureScale {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const { score } of state.trials) {
    if (score === null) continue;
    low = Math.min(low, drawableScore(score));
    high = Math.max(high, drawableScore(score));
  }
  if (low > high) [low, high] = [0, 1];
  const size = Math.max(Math.abs(low), Math.abs(high));
  const span = high - low;
  // Scores that are all the same but for rounding still need a scale around them.
  const margin = span > Math.max(SPAN_MIN, size * 1e-12) ? span * 0.05 : Math.max(size * 0.1, 1e-6);
  const winner = bestTrial(state);
  const resourceMax = winner?.resource ?? 0;
  return { drawn, low: low - margin, high: high + margin, resourceMax, winner: winner?.number };
}

/** The outcome for those who do not see the picture. */
function inWords(state: SearchState, drawn: number): string {
  const count = (status: Trial['status']): number =>
    state.trials.filter((trial) => trial.status === status).length;
  const { length } = state.trials;
  const sentences = [
    `${length} trials of the algorithm ${state.plan.algorithm}: ${count('done')} done, ` +
      `${count('failed')} failed, ${count('running')} running.`,
  ];
  const best = bestTrial(state);
  if (best !== undefined) {
    const values = Object.entries(best.parameters).map(
      ([name, value]) => `${name} ${typeof value === 'number' ? readable(value) : String(value)}`,
    );
    const kind = state.plan.goal === 'maximise' ? 'highest' : 'lowest';
    const resource = best.resource === null ? '' : ` with resource ${best.resource}`;
    sentences.push(
      `The ${kind} score${resource} is ${readable(best.score ?? 0)}, of trial ${best.number}: ${values.join(', ')}.`,
    );
  }
  if (drawn < length) sentences.push(`${drawn} of the trials are drawn.`);
  const left = state.space.length - PICTURE_PARAMETERS_MAX;
  if (left > 0) sentences.push(`${left} further parameters have no panel.`);
  return sentences.join(' ');
}
