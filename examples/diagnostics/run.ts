import { runExample } from '@tandem-examples/driver';
import { appOf } from './datasets/index.ts';
import { runLive } from './driver/live.ts';
import { runOnce } from './driver/once.ts';
import { parseOptions, USAGE } from './driver/options.ts';
import { summarise } from './driver/report.ts';

await runExample({
  name: 'diagnostics',
  command: 'npm start -w examples/diagnostics',
  usage: USAGE,
  app: ({ dataset }) => appOf(dataset),
  parse: parseOptions,
  live: runLive,
  once: runOnce,
  summarise,
});
