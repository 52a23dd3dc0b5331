import { join } from 'node:path';
import { runExample } from '@tandem-examples/driver';
import { runLive } from './driver/live.ts';
import { runOnce } from './driver/once.ts';
import { parseOptions, USAGE } from './driver/options.ts';
import { summarise } from './driver/report.ts';

await runExample({
  name: 'recommend',
  command: 'npm start -w examples/recommend',
  usage: USAGE,
  app: () => join(import.meta.dirname, 'app.ts'),
  parse: parseOptions,
  live: runLive,
  once: runOnce,
  summarise,
});
