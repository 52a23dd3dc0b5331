import { routes } from '../../contract/index.ts';
import { handler, type RunningService, type ServiceHost } from '../../runtime/index.ts';
import { getCard } from './card.ts';
import type { RegistryOptions } from './options.ts';
import { createRelease, getCurrentReleases, getRelease, listReleases } from './releases.ts';
import { getVersion, listModels, listVersions, registerVersion } from './versions.ts';

/** Starts the service. */
export function start(host: ServiceHost<RegistryOptions>): RunningService {
  const { tables } = host;
  return {
    handlers: [
      handler(routes.registerVersion, ({ params, body }, { principal }) =>
        registerVersion(host, params.model, { ...body, actor: principal.subject }),
      ),
      handler(routes.listVersions, ({ params, query }) => listVersions(host, params.model, query)),
      handler(routes.getVersion, ({ params }) => getVersion(tables, params.model, params.version)),
      handler(routes.getCard, ({ params, query }) => getCard(host, params, query.form)),
      handler(routes.listModels, () => listModels(host)),
      handler(routes.createRelease, ({ body }, { principal }) =>
        createRelease(host, body, principal.subject),
      ),
      handler(routes.listReleases, ({ query }) => listReleases(tables, query)),
      handler(routes.getRelease, ({ params }) => getRelease(tables, params.id)),
      handler(routes.getCurrentReleases, () => getCurrentReleases(tables)),
    ],
    async ready() {
      try {
        await getCurrentReleases(tables);
        return { ready: true };
      } catch (error) {
        return {
          ready: false,
          reason: `The database does not answer: ${error instanceof Error ? error.message : ''}`,
        };
      }
    },
    // Every write is one transaction of the database: there is nothing to hand over.
    stop: () => Promise.resolve(),
  };
}
