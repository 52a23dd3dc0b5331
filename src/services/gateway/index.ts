import { routes } from '../../contract/index.ts';
import type { ServiceDefinition } from '../../runtime/index.ts';
import { type GatewayOptions, gatewayOptions } from './options.ts';

export type { GatewayOptions } from './options.ts';

/** One address for the routes of all services, limits by who calls, and the keys to them. */
export const gateway: ServiceDefinition<GatewayOptions> = {
  name: 'gateway',
  summary: 'One address for every service: says who may call, how often, and passes requests on',
  options: gatewayOptions,
  migrations: { owner: 'gateway', migrations: [] },
  calls: [routes.listSchedules],
  start: async (host) => (await import('./start.ts')).start(host),
};
