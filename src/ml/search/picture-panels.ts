import type { Parameter, ParameterValue } from './space.ts';
import { coordinate, escapeText, readable, roundSteps, shortened } from './svg.ts';
import type { SearchState, Trial } from './trial.ts';
import { fromUnit, toUnit, valueOf } from './values.ts';

/** @internal What all panels share. */
export interface PictureScale {
  readonly drawn: readonly Trial[];
  /** Scores at the lower and the upper border. */
  readonly low: number;
  readonly high: number;
  /** Largest resource of a trial with a score, 0 where there is none. */
  readonly resourceMax: number;
  /** Number of the best trial. */
  readonly winner: number | undefined;
}

/** @internal A place in pixels. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Room for the labels around a plot, in pixels. */
const LABELS = { left: 56, right: 8, top: 20, bottom: 20 } as const;
/** Options of a choice that have room for a label each. */
const OPTION_LABELS_MAX = 6;
const NAME_LENGTH_MAX = 40;
const LABEL_LENGTH_MAX = 10;

/** Scores beyond this size are drawn at the border, so that no difference overflows. */
const SCORE_DRAWN_MAX = 1e300;

/** @internal A score that can be drawn. */
export function drawableScore(score: number): number {
  return Math.min(Math.max(score, -SCORE_DRAWN_MAX), SCORE_DRAWN_MAX);
}

interface Plot {
  readonly scale: PictureScale;
  readonly x: (unit: number) => number;
  readonly y: (score: number) => number;
  readonly bottom: number;
}

function plotOf(box: Box, scale: PictureScale): Plot {
  const left = box.left + LABELS.left;
  const width = box.width - LABELS.left - LABELS.right;
  const top = box.top + LABELS.top;
  const height = box.height - LABELS.top - LABELS.bottom;
  const share = (score: number): number => (drawableScore(score) - scale.low) / (scale.high - scale.low);
  return {
    scale,
    x: (unit) => left + unit * width,
    y: (score) => top + (1 - share(score)) * height,
    bottom: top + height,
  };
}

/** @internal Scores by trial, and the best so far as a line of steps. */
export function panelOfTrials(state: SearchState, scale: PictureScale, box: Box): string {
  const plot = plotOf(box, scale);
  const last = Math.max(1, state.trials.length - 1);
  const ticks = roundSteps(0, last, 10).filter((tick) => Number.isSafeInteger(tick));
  return [
    '<g>',
    frame(plot, box, 'Score by trial'),
    ...ticks.map((tick) => label(plot, tick / last, String(tick))),
    dots(plot, (trial) => trial.number / last),
    bestLine(state, plot, last),
    '</g>',
  ].join('\n');
}

/** @internal Scores by the value of one parameter, of the trials that had it. */
export function panelOfParameter(parameter: Parameter, scale: PictureScale, box: Box): string {
  const plot = plotOf(box, scale);
  const name = shortened(parameter.name, NAME_LENGTH_MAX);
  const title = parameter.kind.startsWith('log') ? `${name} (logarithmic)` : name;
  return [
    '<g>',
    frame(plot, box, title),
    ...labelsOf(parameter).map(([unit, text]) => label(plot, unit, shortened(text, LABEL_LENGTH_MAX))),
    dots(plot, (trial) => {
      const value = valueOf(trial.parameters, parameter.name);
      return value === undefined ? undefined : placeOf(parameter, value);
    }),
    '</g>',
  ].join('\n');
}

function placeOf(parameter: Parameter, value: ParameterValue): number {
  if (parameter.kind !== 'choice') return toUnit(parameter, value as number);
  return (parameter.options.indexOf(value) + 0.5) / parameter.options.length;
}

function labelsOf(parameter: Parameter): readonly (readonly [number, string])[] {
  if (parameter.kind !== 'choice') {
    const values = [0, 0.5, 1].map((unit) => fromUnit(parameter, unit) as number);
    // On a scale of few whole numbers the middle may be one of the ends.
    return [...new Set(values)].map((value) => [toUnit(parameter, value), readable(value)] as const);
  }
  const all = parameter.options.map((option) => [placeOf(parameter, option), String(option)] as const);
  return all.length <= OPTION_LABELS_MAX ? all : all.filter((_, at) => at === 0 || at === all.length - 1);
}

/** Title, score axis with lines across, and the axis below. */
function frame(plot: Plot, box: Box, title: string): string {
  const [left, right] = [coordinate(plot.x(0)), coordinate(plot.x(1))];
  const count = Math.max(2, Math.floor(box.height / 36));
  const lines = roundSteps(plot.scale.low, plot.scale.high, count).map((score) => {
    const y = plot.y(score);
    return (
      `<line class="grid" x1="${left}" y1="${coordinate(y)}" x2="${right}" y2="${coordinate(y)}"/>` +
      `<text class="note" x="${coordinate(plot.x(0) - 6)}" y="${coordinate(y + 4)}" ` +
      `text-anchor="end">${readable(score)}</text>`
    );
  });
  const bottom = coordinate(plot.bottom);
  return [
    `<text x="${left}" y="${coordinate(box.top + 12)}">${escapeText(title)}</text>`,
    ...lines,
    `<line class="axis" x1="${left}" y1="${bottom}" x2="${right}" y2="${bottom}"/>`,
  ].join('\n');
}

function label(plot: Plot, unit: number, text: string): string {
  const anchor = unit < 0.02 ? 'start' : unit > 0.98 ? 'end' : 'middle';
  const place = `x="${coordinate(plot.x(unit))}" y="${coordinate(plot.bottom + 15)}"`;
  return `<text class="note" ${place} text-anchor="${anchor}">${escapeText(text)}</text>`;
}

/** A dot for each trial with a score, a cross on the axis for each that failed; the best one on top. */
function dots(plot: Plot, placeOfTrial: (trial: Trial) => number | undefined): string {
  const { drawn, winner } = plot.scale;
  const ordered = [
    ...drawn.filter((trial) => trial.number !== winner),
    ...drawn.filter((trial) => trial.number === winner),
  ];
  return ordered
    .map((trial) => {
      const unit = placeOfTrial(trial);
      return unit === undefined ? '' : mark(plot, trial, plot.x(unit));
    })
    .filter((text) => text !== '')
    .join('\n');
}

function mark(plot: Plot, trial: Trial, x: number): string {
  const { resourceMax, winner } = plot.scale;
  if (trial.status === 'failed') {
    const [left, right] = [coordinate(x - 3), coordinate(x + 3)];
    const [upper, lower] = [coordinate(plot.bottom - 8), coordinate(plot.bottom - 2)];
    return `<path class="failed" d="M${left} ${upper}L${right} ${lower}M${left} ${lower}L${right} ${upper}"/>`;
  }
  if (trial.score === null) return '';
  const share = resourceMax > 0 ? (trial.resource ?? 0) / resourceMax : 1;
  const isWinner = trial.number === winner;
  const radius = coordinate(isWinner ? 5 : 2 + 1.5 * Math.sqrt(share));
  const place = `cx="${coordinate(x)}" cy="${coordinate(plot.y(trial.score))}"`;
  return `<circle class="${isWinner ? 'winner' : 'done'}" ${place} r="${radius}"/>`;
}

function bestLine(state: SearchState, plot: Plot, last: number): string {
  const isBetter = (score: number, best: number): boolean =>
    state.plan.goal === 'maximise' ? score > best : score < best;
  let best: number | undefined;
  let path = '';
  for (const { number, score, resource } of state.trials) {
    if (score === null || (resource ?? 0) < plot.scale.resourceMax) continue;
    if (best !== undefined && !isBetter(score, best)) continue;
    const x = coordinate(plot.x(number / last));
    path += best === undefined ? `M${x} ${coordinate(plot.y(score))}` : `H${x}V${coordinate(plot.y(score))}`;
    best = score;
  }
  return path === '' ? '' : `<path class="best" d="${path}H${coordinate(plot.x(1))}"/>`;
}
