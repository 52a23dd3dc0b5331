import { interpolate } from './isotonic.ts';
import type { IsotonicCalibration } from './isotonic.ts';
import type { PlattCalibration } from './platt.ts';

/** A rising function from scores to probabilities. */
export type Calibration = PlattCalibration | IsotonicCalibration;

/**
 * The calibrated probabilities of scores, in [0, 1]: a higher score never gets a lower one.
 *
 * @throws RangeError on a score that is NaN.
 */
export function calibrate(calibration: Calibration, scores: ArrayLike<number>): Float64Array {
  const probabilities = new Float64Array(scores.length);
  for (let row = 0; row < scores.length; row += 1) {
    const score = scores[row] as number;
    if (Number.isNaN(score)) throw new RangeError(`Score ${row} is NaN`);
    probabilities[row] = calibrateScore(calibration, score);
  }
  return probabilities;
}

function calibrateScore(calibration: Calibration, score: number): number {
  switch (calibration.kind) {
    case 'platt': {
      // A flat curve is flat at infinity too, where the product would be NaN.
      const rise = calibration.slope === 0 ? 0 : calibration.slope * score;
      return 1 / (1 + Math.exp(-(rise + calibration.intercept)));
    }
    case 'isotonic':
      return interpolate(calibration, score);
  }
}
