import { routes } from '../../contract/index.ts';
import type { ServiceDefinition } from '../../runtime/index.ts';
import { trainMigrations } from './migrations.ts';
import { type TrainOptions, trainOptions } from './options.ts';

export type { TrainOptions } from './options.ts';
export { QUEUE as TRAIN_QUEUE } from './options.ts';
export { TRIAL_QUEUE } from './trial-unit.ts';
export { trainTasks } from './tasks.ts';

/** Runs of training pipelines: dataset, split, fit, evaluate, gate, bundle. */
export const train: ServiceDefinition<TrainOptions> = {
  name: 'train',
  summary: 'Trains models: builds the dataset, fits, evaluates, judges and registers the version',
  options: trainOptions,
  migrations: trainMigrations,
  calls: [routes.buildDataset, routes.getFeaturesStatus, routes.registerVersion],
  start: async (host) => (await import('./start.ts')).start(host),
};
