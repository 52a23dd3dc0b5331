import { z } from 'zod';
import { routes } from '../../contract/index.ts';
import {
  handler,
  type RunningService,
  type ServiceDefinition,
  type ServiceHost,
} from '../../runtime/index.ts';
import { registryMigrations } from './migrations.ts';
import { createRelease, getCurrentReleases, getRelease, listReleases } from './releases.ts';
import { getVersion, listModels, listVersions, registerVersion } from './versions.ts';

export { verifyAudit } from './audit.ts';

/** The registry has nothing to set. */
export type RegistryOptions = Record<string, never>;

const options = z.object({}).strict() as unknown as z.ZodType<RegistryOptions>;

/** Model versions, releases and their audit chain. */
export const registry: ServiceDefinition<RegistryOptions> = {
  name: 'registry',
  summary: 'Keeps immutable model versions and decides which release answers each decision',
  options,
  migrations: registryMigrations,
  calls: [routes.listVerifications],
  start: (host) => Promise.resolve(run(host)),
};

function run(host: ServiceHost<RegistryOptions>): RunningService {
  const { tables } = host;
  return {
    handlers: [
      handler(routes.registerVersion, ({ params, body }, { principal }) =>
        registerVersion(host, params.model, { ...body, actor: principal.subject }),
      ),
      handler(routes.listVersions, ({ params, query }) => listVersions(host, params.model, query)),
      handler(routes.getVersion, ({ params }) => getVersion(tables, params.model, params.version)),
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
