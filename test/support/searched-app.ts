import {
  type App,
  byFolds,
  byTime,
  defineApp,
  defineModel,
  gbdt,
  integers,
  logistic,
  logUniform,
  type Model,
  prequential,
  stratified,
  tuned,
  uniform,
} from '../../src/define/index.ts';
import { app } from '../../src/services/train/test-host.ts';

const linear = app.models.get('linear');
if (linear === undefined) throw new Error('The app of the tests has no model linear');
const { vector, label } = linear;
const split = byTime({ train: '3d', delay: '1d', test: '2d', excludeKnown: 'customerId' });
const shared = { vector, label, split };
const validate = prequential({ folds: 2 });

/** Trees whose rate and depth are searched. */
const boosted: Model = defineModel('boosted', {
  ...shared,
  trainer: tuned(
    gbdt({ rounds: 10 }),
    { learningRate: logUniform(0.01, 0.5), depthMax: integers(1, 6) },
    { trials: 8, parallel: 3, validate },
  ),
});
const halved = defineModel('halved', {
  ...shared,
  trainer: tuned(
    gbdt({ rounds: 9 }),
    { lambda: uniform(0, 10) },
    { by: 'hyperband', metric: 'logLoss', parallel: 4, validate, roundsMin: 1 },
  ),
});
const penalised = defineModel('penalised', {
  ...shared,
  trainer: tuned(
    logistic(),
    { c: logUniform(1e-3, 1e3), l1Ratio: uniform(0.1, 1) },
    { by: 'grid', gridSteps: 2, metric: 'brier', validate: stratified({ folds: 3 }) },
  ),
});
/** The newest rows are too few to have both classes, with whatever rate. */
const hopeless = defineModel('hopeless', {
  ...shared,
  trainer: tuned(
    gbdt({ rounds: 5, earlyStopping: { fraction: 0.001 } }),
    { learningRate: logUniform(0.01, 0.5) },
    { by: 'random', trials: 3, validate },
  ),
});
/** Trials without end. */
const endless = defineModel('endless', {
  ...shared,
  trainer: tuned(
    gbdt({ rounds: 10_000, depthMax: 12 }),
    { lambda: uniform(0, 10) },
    { by: 'random', trials: 3, parallel: 2, validate },
  ),
});
/** Reaches back to before there was anything. */
const far = defineModel('far', {
  ...shared,
  trainer: tuned(
    logistic(),
    { c: logUniform(1e-3, 1e3) },
    { by: 'random', trials: 2, validate: prequential({ folds: 3, step: '2d' }) },
  ),
});
/** Judged by cross-validation, as its trials are: a customer lies in one fold. */
const crossed = defineModel('crossed', {
  vector,
  label,
  split: byFolds({ folds: 3, within: '6d', groupBy: 'customerId' }),
  trainer: tuned(
    logistic({ calibrate: 'platt' }),
    { c: logUniform(1e-3, 1e3) },
    { trials: 4, metric: 'aucRoc' },
  ),
});
/** Ranks the payments of a customer. */
const ranking = defineModel('ranking', {
  vector,
  label,
  split: byTime({ train: '3d', delay: '1d', test: '2d' }),
  trainer: tuned(
    gbdt({ rounds: 5, objective: 'rank', groupBy: 'customerId' }),
    { learningRate: logUniform(0.05, 0.5) },
    { by: 'random', trials: 3, validate: stratified({ folds: 3 }) },
  ),
});
const hasty = defineModel('hasty', {
  ...shared,
  trainer: tuned(
    gbdt({ rounds: 10 }),
    { lambda: uniform(0, 10) },
    { by: 'random', trials: 1_000, parallel: 2, within: '3s', validate },
  ),
});

/** An app with models whose trainers are tuned, for each case. */
export const searchedApp: App = defineApp('shop', {
  decisions: Object.fromEntries(app.decisions),
  models: [boosted, halved, penalised, hopeless, endless, far, crossed, ranking, hasty],
});
