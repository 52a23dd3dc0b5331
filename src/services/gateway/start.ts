import { routes, SERVICE_NAMES } from '../../contract/index.ts';
import { handler, type Readiness, type RunningService, type ServiceHost } from '../../runtime/index.ts';
import { createKey, listKeys, revokeKey } from './keys.ts';
import type { GatewayOptions } from './options.ts';
import { rateLimit } from './rate-limit.ts';
import { TrainWaker } from './wake-train.ts';

/** Starts the service. */
export function start(host: ServiceHost<GatewayOptions>): RunningService {
  const own = [
    handler(routes.listKeys, () => listKeys(host)),
    handler(routes.createKey, ({ body }, { principal }) => createKey(host, body, principal.subject)),
    handler(routes.revokeKey, ({ params }, { principal }) => revokeKey(host, params.id, principal.subject)),
    handler(routes.whoAmI, (_input, { principal }) =>
      Promise.resolve({ subject: principal.subject, roles: [...principal.roles] }),
    ),
  ];
  const waker = new TrainWaker(host);
  waker.start();
  return {
    handlers: own,
    forwards: Object.values(routes).filter(({ service }) => service !== 'gateway'),
    admit: rateLimit(host.options, host.clock),
    ready: () => Promise.resolve(readiness(host)),
    stop: () => waker.stop(),
  };
}

/** The gateway does its job whichever services are there: it says of those that are not. */
function readiness({ reachable }: ServiceHost<GatewayOptions>): Readiness {
  const there = reachable();
  const missing = SERVICE_NAMES.filter((name) => name !== 'gateway' && !there.has(name));
  return missing.length === 0
    ? { ready: true }
    : { ready: true, reason: `there is no instance of ${missing.join(', ')}` };
}
