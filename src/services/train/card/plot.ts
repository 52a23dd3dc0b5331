import type { Point } from '../report.ts';

/** A plot's size, and what its axes take of it, in the units of the picture. */
const WIDTH = 360;
const HEIGHT = 280;
const LEFT = 46;
const BOTTOM = 40;
const MARGIN = 12;
const TICKS = [0, 0.25, 0.5, 0.75, 1] as const;
/** Height of one bar and its gap. */
const BAR = 22;
const BAR_LABEL = 170;
const BAR_VALUE = 64;

export interface Line {
  readonly name: string;
  readonly points: readonly Point[];
  /** Something to compare with, drawn dashed. */
  readonly isReference?: boolean;
  /** Draws a dot at each point. */
  readonly hasDots?: boolean;
}

export interface LinePlot {
  readonly title: string;
  /** For whoever cannot see it. */
  readonly description: string;
  readonly x: string;
  readonly y: string;
  /** Both axes go from 0 to 1. */
  readonly lines: readonly Line[];
}

/** Lines in the unit square, as an SVG element. The same input gives the same text. */
export function linePlot(plot: LinePlot): string {
  const across = WIDTH - LEFT - MARGIN;
  const up = HEIGHT - BOTTOM - MARGIN;
  const place = ([x, y]: Point): string => `${short(LEFT + x * across)},${short(MARGIN + (1 - y) * up)}`;
  const grid = TICKS.map((tick) => {
    const x = short(LEFT + tick * across);
    const y = short(MARGIN + (1 - tick) * up);
    return (
      `<path class="grid" d="M${x},${MARGIN}V${MARGIN + up}M${LEFT},${y}H${LEFT + across}"/>` +
      `<text class="tick" x="${x}" y="${MARGIN + up + 14}" text-anchor="middle">${tick}</text>` +
      `<text class="tick" x="${LEFT - 6}" y="${short(Number(y) + 4)}" text-anchor="end">${tick}</text>`
    );
  });
  const lines = plot.lines.map(({ points, isReference = false, hasDots = false }) => {
    const path = `<polyline class="${isReference ? 'reference' : 'line'}" points="${points.map(place).join(' ')}"/>`;
    const dots = points.map((point) => {
      const [x, y] = place(point).split(',');
      return `<circle class="dot" cx="${x}" cy="${y}" r="3"/>`;
    });
    return path + (hasDots ? dots.join('') : '');
  });
  const axes =
    `<text class="axis" x="${LEFT + across / 2}" y="${HEIGHT - 6}" text-anchor="middle">${escaped(plot.x)}</text>` +
    `<text class="axis" transform="translate(12,${MARGIN + up / 2}) rotate(-90)" text-anchor="middle">${escaped(plot.y)}</text>`;
  return picture(plot, { width: WIDTH, height: HEIGHT }, [...grid, ...lines, axes].join(''));
}

export interface Bar {
  readonly name: string;
  readonly value: number;
  /** What is written beside it. */
  readonly text: string;
}

export interface BarPlot {
  readonly title: string;
  readonly description: string;
  /** From top to bottom. Negative values are drawn as none. */
  readonly bars: readonly Bar[];
}

/** Horizontal bars, as an SVG element; the longest takes all the room. */
export function barPlot(plot: BarPlot): string {
  const width = WIDTH * 2;
  const room = width - BAR_LABEL - BAR_VALUE;
  const most = plot.bars.reduce((largest, { value }) => Math.max(largest, value), 0);
  const bars = plot.bars.map(({ name, value, text }, index) => {
    const y = MARGIN + index * BAR;
    const length = most > 0 ? Math.max(0, (value / most) * room) : 0;
    return (
      `<text class="tick" x="${BAR_LABEL - 8}" y="${y + 14}" text-anchor="end">${escaped(name)}</text>` +
      `<rect class="bar" x="${BAR_LABEL}" y="${y + 2}" width="${short(length)}" height="${BAR - 6}"/>` +
      `<text class="tick" x="${short(BAR_LABEL + length + 6)}" y="${y + 14}">${escaped(text)}</text>`
    );
  });
  const height = 2 * MARGIN + plot.bars.length * BAR;
  return picture(plot, { width, height }, bars.join(''));
}

function picture(
  { title, description }: { readonly title: string; readonly description: string },
  { width, height }: { readonly width: number; readonly height: number },
  content: string,
): string {
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">` +
    `<title>${escaped(title)}</title><desc>${escaped(description)}</desc>${content}</svg>`
  );
}

/** A text as the content or an attribute of an element. */
export function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

/** A coordinate: a tenth of a unit is less than anybody sees. */
function short(value: number): string {
  return String(Math.round(value * 10) / 10);
}
