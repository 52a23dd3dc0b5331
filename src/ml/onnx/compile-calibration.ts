import type { IsotonicCalibration } from '../calibrate/isotonic.ts';
import { interpolate } from '../calibrate/isotonic.ts';
import { CURVE_POINTS_MAX, bisectionRounds, segmentTables } from './encode-calibration.ts';
import { UnsupportedGraph } from './errors.ts';
import type { GraphReader } from './graph-reader.ts';
import { inputOf, onlyAttributes } from './graph-reader.ts';
import { DATA_TYPE } from './schema.ts';

/** A curve, the float64 value that it reads, and the nodes that it takes. */
export interface CompiledCurve {
  readonly scores: string;
  readonly curve: (score: number) => number;
  readonly nodeCount: number;
}

/**
 * @internal Reads Platt's curve: Sigmoid of Add of Mul of Clip.
 *
 * @throws UnsupportedGraph when the nodes are others.
 */
export function compilePlatt(reader: GraphReader, value: string): CompiledCurve {
  const sigmoid = reader.producer(value, 'Sigmoid', 1);
  const add = reader.producer(inputOf(sigmoid, 0), 'Add', 2);
  const mul = reader.producer(inputOf(add, 0), 'Mul', 2);
  const clip = reader.producer(inputOf(mul, 0), 'Clip', 3);
  for (const node of [sigmoid, add, mul, clip]) onlyAttributes(node, []);
  const least = scalar(reader, inputOf(clip, 1));
  const most = scalar(reader, inputOf(clip, 2));
  if (least !== -Number.MAX_VALUE || most !== Number.MAX_VALUE) {
    throw new UnsupportedGraph('Clip must have the bounds of float64', 'Clip');
  }
  const slope = scalar(reader, inputOf(mul, 1));
  const intercept = scalar(reader, inputOf(add, 1));
  if (!(slope >= 0 && Number.isFinite(slope) && Number.isFinite(intercept))) {
    throw new UnsupportedGraph('The curve must have a slope of at least 0', 'Mul');
  }
  const curve = (score: number): number => {
    const rise = slope === 0 ? 0 : slope * score;
    return 1 / (1 + Math.exp(-(rise + intercept)));
  };
  return { scores: inputOf(clip, 0), curve, nodeCount: 4 };
}

/**
 * @internal Reads an isotonic curve: Clip, a bisection of Add, Gather, LessOrEqual and Where, and the line of
 * the segment found.
 *
 * @throws UnsupportedGraph when the nodes are others.
 */
export function compileIsotonic(reader: GraphReader, value: string): CompiledCurve {
  const min = reader.producer(value, 'Min', 2);
  const add = reader.producer(inputOf(min, 1), 'Add', 2);
  const mul = reader.producer(inputOf(add, 1), 'Mul', 2);
  const div = reader.producer(inputOf(mul, 0), 'Div', 2);
  const sub = reader.producer(inputOf(div, 0), 'Sub', 2);
  const clipped = inputOf(sub, 0);
  const clip = reader.producer(clipped, 'Clip', 3);
  for (const node of [min, add, mul, div, sub, clip]) onlyAttributes(node, []);
  const starts = tableOf(reader, inputOf(sub, 1));
  const tables = {
    widths: tableOf(reader, inputOf(div, 1)),
    rises: tableOf(reader, inputOf(mul, 1)),
    bases: tableOf(reader, inputOf(add, 0)),
    tops: tableOf(reader, inputOf(min, 0)),
  };
  if (Object.values(tables).some(({ segment }) => segment !== starts.segment)) {
    throw new UnsupportedGraph('All tables of a curve must be read at one segment', 'Gather');
  }
  const count = reader.lengthOf(tables.bases.name);
  if (count < 1 || count > CURVE_POINTS_MAX)
    throw new UnsupportedGraph(`A curve cannot have ${count} points`);
  const rounds = bisectionRounds(count);
  const stored = (name: string, length: number): Float64Array => reader.doubles(name, [length]);
  const curve: IsotonicCalibration = {
    kind: 'isotonic',
    scores: stored(starts.name, 2 ** rounds).slice(0, count),
    probabilities: stored(tables.bases.name, count),
  };
  requireRising(curve);
  const wanted = segmentTables(curve);
  const sound =
    same(stored(starts.name, 2 ** rounds), wanted.starts) &&
    same(stored(tables.widths.name, count), wanted.widths) &&
    same(stored(tables.rises.name, count), wanted.rises) &&
    same(stored(tables.tops.name, count), wanted.tops) &&
    scalar(reader, inputOf(clip, 1)) === curve.scores[0] &&
    scalar(reader, inputOf(clip, 2)) === curve.scores[count - 1];
  if (!sound) throw new UnsupportedGraph('The tables of the curve do not agree', 'Gather');
  requireBisection(reader, starts, { clipped, least: inputOf(clip, 1), rounds });
  return {
    scores: inputOf(clip, 0),
    curve: (score) => interpolate(curve, score),
    nodeCount: 13 + 4 * rounds,
  };
}

interface Table {
  readonly name: string;
  /** The value that says which segment is looked up. */
  readonly segment: string;
}

function tableOf(reader: GraphReader, value: string): Table {
  const gather = reader.producer(value, 'Gather', 2);
  onlyAttributes(gather, []);
  return { name: inputOf(gather, 0), segment: inputOf(gather, 1) };
}

/** Follows the bisection from its last round to the zeros that it begins with. */
function requireBisection(
  reader: GraphReader,
  starts: Table,
  search: { readonly clipped: string; readonly least: string; readonly rounds: number },
): void {
  const { clipped, least, rounds } = search;
  let { segment } = starts;
  for (let round = 0; round < rounds; round += 1) {
    const where = reader.producer(segment, 'Where', 3);
    const reached = reader.producer(inputOf(where, 0), 'LessOrEqual', 2);
    const candidate = reader.producer(inputOf(where, 1), 'Add', 2);
    for (const node of [where, reached, candidate]) onlyAttributes(node, []);
    const start = tableOf(reader, inputOf(reached, 0));
    const sound =
      inputOf(reached, 1) === clipped &&
      start.name === starts.name &&
      start.segment === inputOf(where, 1) &&
      inputOf(candidate, 0) === inputOf(where, 2) &&
      reader.integer(inputOf(candidate, 1)) === 2 ** round;
    if (!sound) throw new UnsupportedGraph(`Round ${round} of the bisection is another one`, 'Where');
    segment = inputOf(where, 2);
  }
  const less = reader.producer(reader.castSource(segment, DATA_TYPE.integer), 'Less', 2);
  onlyAttributes(less, []);
  if (inputOf(less, 0) !== clipped || inputOf(less, 1) !== least) {
    throw new UnsupportedGraph('The bisection must begin with zeros', 'Less');
  }
}

function requireRising({ scores, probabilities }: IsotonicCalibration): void {
  for (let point = 0; point < scores.length; point += 1) {
    const score = scores[point] as number;
    const probability = probabilities[point] as number;
    const width = point === 0 ? 1 : score - (scores[point - 1] as number);
    const least = point === 0 ? 0 : (probabilities[point - 1] as number);
    const rises = Number.isFinite(score) && width > 0 && width < Number.POSITIVE_INFINITY;
    if (!(rises && probability >= least && probability <= 1)) {
      throw new UnsupportedGraph(`The curve does not rise at point ${point}`, 'Gather');
    }
  }
}

function same(a: Float64Array, b: Float64Array): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}

function scalar(reader: GraphReader, name: string): number {
  return reader.doubles(name, [])[0] as number;
}
