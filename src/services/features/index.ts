import { routes } from '../../contract/index.ts';
import type { ServiceDefinition } from '../../runtime/index.ts';
import { migrations } from './migrations.ts';
import { featuresOptions, type FeaturesOptions } from './options.ts';
import { STATE_THREAD } from './state/messages.ts';

/** In the repository the sources run as they are, in the package they are compiled. */
const EXTENSION = import.meta.url.endsWith('.ts') ? 'ts' : 'js';

/** The modules of the service's threads by name, for whoever makes the port `Threads`. */
export const featuresThreads: ReadonlyMap<string, URL> = new Map([
  [STATE_THREAD, new URL(`./state/state-thread.${EXTENSION}`, import.meta.url)],
]);

/** Online state, vector reads, archive and datasets. */
export const features: ServiceDefinition<FeaturesOptions> = {
  name: 'features',
  summary: 'Keeps online features, answers vector reads, writes Parquet and builds datasets',
  options: featuresOptions,
  migrations,
  calls: [routes.readVectorParts, routes.sampleLedger, routes.readLedger],
  start: async (host) => (await import('./start.ts')).start(host),
};
