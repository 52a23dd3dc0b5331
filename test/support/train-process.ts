import { trainerFileDigests } from '../../src/adapters/process/index.ts';
import { defineApp, defineModel, external, withTrainerFiles } from '../../src/define/index.ts';
import { app } from '../../src/services/train/test-host.ts';
import { openTrain } from './train-service.ts';

// A process that works on runs of the model 'waits' until it is killed: train-process.ts SETTINGS.

interface Settings {
  readonly databaseUrl: string;
  readonly directory: string;
  readonly appDirectory: string;
  readonly shared: string;
  readonly marker: string;
}

const { shared, marker, ...settings } = JSON.parse(process.argv[2] ?? '{}') as Settings;
const linear = app.models.get('linear');
if (linear === undefined) throw new Error('The app of the tests has no model linear');
const waits = defineModel('waits', {
  ...linear,
  trainer: external({
    command: [process.execPath, 'fit.mjs'],
    memoryMiB: 4_096,
    parameters: { shared, what: 'wait', marker, c: 2 },
  }),
});
const own = defineApp('shop', { decisions: Object.fromEntries(app.decisions), models: [waits] });
await openTrain({
  ...settings,
  app: withTrainerFiles(own, (trainer) => trainerFileDigests(settings.appDirectory, trainer)),
});
process.send?.('working');
