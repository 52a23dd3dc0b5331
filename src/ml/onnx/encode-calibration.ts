import type { Calibration } from '../calibrate/calibration.ts';
import type { IsotonicCalibration } from '../calibrate/isotonic.ts';
import type { PlattCalibration } from '../calibrate/platt.ts';
import type { GraphPart, NodeToEncode } from './encode-model.ts';
import { castNode, doubleTensor, integerTensor } from './encode-model.ts';
import { DATA_TYPE } from './schema.ts';

/** Most points of an isotonic curve in a model file. */
export const CURVE_POINTS_MAX: number = 2 ** 20;

/**
 * @internal The nodes that make the float64 value `output` of the float64 scores [n, 1].
 *
 * @throws RangeError on a curve that `fitPlatt` and `fitIsotonic` do not make.
 */
export function calibrationPart(calibration: Calibration, scores: string, output: string): GraphPart {
  switch (calibration.kind) {
    case 'platt':
      return plattPart(calibration, scores, output);
    case 'isotonic':
      return isotonicPart(calibration, scores, output);
  }
}

/** Scores are clipped to finite ones first, so that a flat curve is flat at infinity too. */
function plattPart({ slope, intercept }: PlattCalibration, scores: string, output: string): GraphPart {
  if (!(slope >= 0 && Number.isFinite(slope) && Number.isFinite(intercept))) {
    throw new RangeError(`Platt's curve must have a finite slope of at least 0, not ${slope}, ${intercept}`);
  }
  return {
    nodes: [
      { operator: 'Clip', inputs: [scores, 'score_least', 'score_most'], output: 'finite_score' },
      { operator: 'Mul', inputs: ['finite_score', 'slope'], output: 'rise' },
      { operator: 'Add', inputs: ['rise', 'shift'], output: 'calibrated_margin' },
      { operator: 'Sigmoid', inputs: ['calibrated_margin'], output },
    ],
    initializers: [
      doubleTensor('score_least', [], [-Number.MAX_VALUE]),
      doubleTensor('score_most', [], [Number.MAX_VALUE]),
      doubleTensor('slope', [], [slope]),
      doubleTensor('shift', [], [intercept]),
    ],
  };
}

/**
 * The segment that a score lies in is found by bisection, unrolled into four nodes for each doubling of the
 * points. Comparing with all points at once takes fewer nodes but memory for rows times points, which a curve
 * of some thousand points makes gigabytes of. Then the line of the segment, in float64: exactly what {@link
 * calibrate} computes.
 */
function isotonicPart(curve: IsotonicCalibration, scores: string, output: string): GraphPart {
  checkCurve(curve);
  const points = curve.scores;
  const rounds = bisectionRounds(points.length);
  const nodes: NodeToEncode[] = [
    { operator: 'Clip', inputs: [scores, 'score_least', 'score_most'], output: 'clipped_score' },
    // Zeros of the same shape.
    { operator: 'Less', inputs: ['clipped_score', 'score_least'], output: 'below' },
    castNode('below', `segment_${rounds}`, DATA_TYPE.integer),
  ];
  for (let round = rounds - 1; round >= 0; round -= 1) {
    nodes.push(
      { operator: 'Add', inputs: [`segment_${round + 1}`, `step_${round}`], output: `candidate_${round}` },
      { operator: 'Gather', inputs: ['curve_scores', `candidate_${round}`], output: `start_${round}` },
      { operator: 'LessOrEqual', inputs: [`start_${round}`, 'clipped_score'], output: `reached_${round}` },
      {
        operator: 'Where',
        inputs: [`reached_${round}`, `candidate_${round}`, `segment_${round + 1}`],
        output: `segment_${round}`,
      },
    );
  }
  const gather = (table: string, value: string): NodeToEncode => ({
    operator: 'Gather',
    inputs: [table, 'segment_0'],
    output: value,
  });
  nodes.push(
    gather('curve_scores', 'segment_start'),
    gather('curve_widths', 'segment_width'),
    gather('curve_rises', 'segment_rise'),
    gather('curve_bases', 'segment_base'),
    gather('curve_tops', 'segment_top'),
    { operator: 'Sub', inputs: ['clipped_score', 'segment_start'], output: 'way' },
    { operator: 'Div', inputs: ['way', 'segment_width'], output: 'share' },
    { operator: 'Mul', inputs: ['share', 'segment_rise'], output: 'climb' },
    { operator: 'Add', inputs: ['segment_base', 'climb'], output: 'height' },
    // Rounding of the line must not lead past its end.
    { operator: 'Min', inputs: ['segment_top', 'height'], output },
  );
  const tables = segmentTables(curve);
  const steps = Array.from({ length: rounds }, (_, round) =>
    integerTensor(`step_${round}`, [1], [2 ** round]),
  );
  return {
    nodes,
    initializers: [
      doubleTensor('score_least', [], points.slice(0, 1)),
      doubleTensor('score_most', [], points.slice(-1)),
      ...steps,
      doubleTensor('curve_scores', [tables.starts.length], tables.starts),
      doubleTensor('curve_widths', [points.length], tables.widths),
      doubleTensor('curve_rises', [points.length], tables.rises),
      doubleTensor('curve_bases', [points.length], curve.probabilities),
      doubleTensor('curve_tops', [points.length], tables.tops),
    ],
  };
}

function checkCurve({ scores, probabilities }: IsotonicCalibration): void {
  const count = scores.length;
  if (count < 1 || count > CURVE_POINTS_MAX || probabilities.length !== count) {
    throw new RangeError(
      `A curve needs 1 to ${CURVE_POINTS_MAX} scores and as many probabilities, not ${count} and ${probabilities.length}`,
    );
  }
  for (let point = 0; point < count; point += 1) {
    const score = scores[point] as number;
    const before = point === 0 ? score - 1 : (scores[point - 1] as number);
    const width = point === 0 ? 1 : score - before;
    if (!(Number.isFinite(score) && width > 0 && width < Number.POSITIVE_INFINITY)) {
      throw new RangeError(
        `Score ${point} of the curve must be finite and above the one before, not ${score}`,
      );
    }
    const probability = probabilities[point] as number;
    const least = point === 0 ? 0 : (probabilities[point - 1] as number);
    if (!(probability >= least && probability <= 1)) {
      throw new RangeError(
        `Probability ${point} of the curve must be at least ${least} and at most 1, not ${probability}`,
      );
    }
  }
}

/** @internal Halvings that find one of so many segments. */
export function bisectionRounds(points: number): number {
  return points === 1 ? 0 : 32 - Math.clz32(points - 1);
}

/** What is looked up for each segment. The last one is level and begins at the last point. */
export interface SegmentTables {
  /** Score at which each segment begins, filled up with infinity to a power of two. */
  readonly starts: Float64Array;
  readonly widths: Float64Array;
  readonly rises: Float64Array;
  /** Probability at the end of each segment. */
  readonly tops: Float64Array;
}

/** @internal The tables of a curve. */
export function segmentTables({ scores, probabilities }: IsotonicCalibration): SegmentTables {
  const starts = new Float64Array(2 ** bisectionRounds(scores.length)).fill(Number.POSITIVE_INFINITY);
  starts.set(scores);
  const next = (values: Float64Array, point: number): number =>
    values[point + 1] ?? (values[point] as number);
  return {
    starts,
    widths: scores.map((score, point) => (point + 1 < scores.length ? next(scores, point) - score : 1)),
    rises: probabilities.map((base, point) => next(probabilities, point) - base),
    tops: probabilities.map((_, point) => next(probabilities, point)),
  };
}
