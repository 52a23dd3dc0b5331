import type { PrequentialValidation } from '../../define/index.ts';
import type { Periods } from './periods.ts';

/**
 * Where the folds of a prequential validation lie, the newest first: the newest judges by the end of the training period of the model,
 * whose labels are known by the time that the model is trained; each further one lies a step earlier. What a fold is trained on ends a
 * delay before what it is judged by, as with the model itself. Nothing reaches into the delay or the test period of the model.
 */
export function foldPeriods(validation: PrequentialValidation, periods: Periods): Periods[] {
  const { trainStart, trainEnd, testStart, testEnd } = periods;
  const {
    folds,
    trainMs = trainEnd - trainStart,
    delayMs = testStart - trainEnd,
    testMs = testEnd - testStart,
  } = validation;
  const { stepMs = testMs } = validation;
  return Array.from({ length: folds }, (_, fold) => {
    const end = trainEnd - fold * stepMs;
    const start = end - testMs;
    const learntEnd = start - delayMs;
    return { trainStart: learntEnd - trainMs, trainEnd: learntEnd, testStart: start, testEnd: end };
  });
}
