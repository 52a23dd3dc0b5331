import type { ServiceName } from '../../contract/index.ts';
import type { Discovery } from '../discovery.ts';
import type { MetricsRegistry } from '../metrics.ts';
import type { Clock, Instances, Keys, Signals } from '../ports/index.ts';
import type { Logger } from '../service.ts';
import { type Gate, GuardedGate, openGate } from './gate.ts';
import type { JwtOptions, JwtVerifier } from './jwt-verifier.ts';
import { KeyRing } from './key-ring.ts';
import { ServiceIdentity } from './service-identity.ts';
import { ServiceVerifier } from './service-verifier.ts';
import type { ThrottleOptions } from './throttle.ts';

/** Who may use a process's port. */
export interface AccessOptions {
  /** Whether credentials are asked for. Without, everybody who can connect is an admin: for the loopback alone. */
  readonly isRequired: boolean;
  readonly throttle: ThrottleOptions;
  /** The issuer whose tokens count besides API keys. Default: none. */
  readonly jwt?: JwtOptions | undefined;
}

export interface AccessParts {
  readonly keys: Keys;
  readonly instances: Instances;
  readonly signals: Signals;
  readonly discovery: Discovery;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
}

/** What a process shows to others, and what it asks of them. */
export interface Access {
  readonly gate: Gate;
  /** Public half of the key that its calls are signed with; `undefined` when nobody asks for it. */
  readonly publicKey: string | undefined;
  /** The `authorization` header for calls to a service; `undefined` when nobody asks for it. */
  readonly authorize: ((service: ServiceName) => string | Promise<string>) | undefined;
  /** Makes the process known to those that it will call, and reads the keys. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface Process {
  readonly instance: string;
  readonly names: readonly ServiceName[];
}

/** Makes the access of a process that runs these services. */
export async function makeAccess(
  options: AccessOptions,
  process: Process,
  parts: AccessParts,
): Promise<Access> {
  const [first] = process.names;
  if (!options.isRequired || first === undefined) {
    const nothing = (): Promise<void> => Promise.resolve();
    return { gate: openGate, publicKey: undefined, authorize: undefined, start: nothing, stop: nothing };
  }
  const { clock, logger, instances, discovery } = parts;
  const identity = await ServiceIdentity.create(first, process.instance, clock);
  const keyRing = new KeyRing(parts);
  const services = new ServiceVerifier({
    audience: process.names,
    known: (id) => discovery.instance(id),
    find: (id) => instances.find(id),
    clock,
  });
  const gate = new GuardedGate({
    keyRing,
    services,
    tokens: await verifierOf(options.jwt, clock),
    throttle: options.throttle,
    clock,
    logger,
    metrics: parts.metrics.of('auth'),
  });
  return {
    gate,
    publicKey: identity.publicKey,
    authorize: (service) => identity.authorize(service),
    async start() {
      const { publicKey: key } = identity;
      await instances.introduce(
        process.names.map((service) => ({ service, id: process.instance, url: '', key })),
      );
      await keyRing.start();
    },
    stop: () => keyRing.stop(),
  };
}

/** What checks tokens of an issuer is loaded only where there is one. */
async function verifierOf(jwt: JwtOptions | undefined, clock: Clock): Promise<JwtVerifier | undefined> {
  if (jwt === undefined) return undefined;
  const { JwtVerifier } = await import('./jwt-verifier.ts');
  return new JwtVerifier(jwt, clock);
}
