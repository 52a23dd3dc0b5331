import { routes } from '../../contract/index.ts';
import type { ServiceDefinition } from '../../runtime/index.ts';
import { serveMigrations } from './migrations.ts';
import { type ServeOptions, serveOptions } from './options.ts';

export type { ServeOptions } from './options.ts';

/** Answers decisions by the releases in charge, and keeps the ledger of them. */
export const serve: ServiceDefinition<ServeOptions> = {
  name: 'serve',
  summary: 'Answers decisions by the releases in charge, and keeps the ledger of them',
  options: serveOptions,
  migrations: serveMigrations,
  calls: [
    routes.getCurrentReleases,
    routes.getRelease,
    routes.getCard,
    routes.readVector,
    routes.replayVector,
    routes.getFeaturesStatus,
    routes.ingestEvents,
  ],
  start: async (host) => (await import('./start.ts')).start(host),
};
