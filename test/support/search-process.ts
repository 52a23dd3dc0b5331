import { searchedApp } from './searched-app.ts';
import { openTrain } from './train-service.ts';

// A process that works on runs and trials until it is killed: search-process.ts SETTINGS.

const settings = JSON.parse(process.argv[2] ?? '{}') as {
  readonly databaseUrl: string;
  readonly directory: string;
  readonly appDirectory: string;
};
await openTrain({ ...settings, app: searchedApp });
process.send?.('working');
