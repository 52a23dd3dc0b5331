import { z } from 'zod';
import { routes } from '../../contract/index.ts';
import type { ServiceDefinition } from '../../runtime/index.ts';
import { registryMigrations } from './migrations.ts';

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
  start: async (host) => (await import('./start.ts')).start(host),
};
