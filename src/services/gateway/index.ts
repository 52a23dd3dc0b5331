import { z } from 'zod';
import { routes } from '../../contract/index.ts';
import type { RunningService, ServiceDefinition } from '../../runtime/index.ts';

/** The gateway has nothing to set. */
export type GatewayOptions = Record<string, never>;

const options = z.object({}).strict() as unknown as z.ZodType<GatewayOptions>;

/** One address for the routes of all services. */
export const gateway: ServiceDefinition<GatewayOptions> = {
  name: 'gateway',
  summary: 'One address for every service: passes each request on to an instance of its service',
  options,
  migrations: { owner: 'gateway', migrations: [] },
  start: () => Promise.resolve(run()),
};

function run(): RunningService {
  return {
    handlers: [],
    forwards: Object.values(routes),
    ready: () => Promise.resolve({ ready: true }),
    stop: () => Promise.resolve(),
  };
}
