import { routes } from '../../contract/index.ts';
import type { ServiceDefinition } from '../../runtime/index.ts';
import { registryMigrations } from './migrations.ts';
import { type RegistryOptions, registryOptions } from './options.ts';

export { verifyAudit } from './audit.ts';
export type { RegistryOptions } from './options.ts';

/** Model versions, releases and their audit chain. */
export const registry: ServiceDefinition<RegistryOptions> = {
  name: 'registry',
  summary: 'Keeps immutable model versions and decides which release answers each decision',
  options: registryOptions,
  migrations: registryMigrations,
  calls: [routes.listVerifications],
  start: async (host) => (await import('./start.ts')).start(host),
};
