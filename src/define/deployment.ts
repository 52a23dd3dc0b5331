/** Services that a deployment may name. */
const DEPLOYED_SERVICES = ['ingest', 'features', 'registry', 'train', 'serve', 'gateway'] as const;
export type DeployedService = (typeof DEPLOYED_SERVICES)[number];

/** Most processes of one service. */
export const REPLICAS_MAX = 32;
/** Variables that must be the same for every process: each has a place of its own to be given at. */
const COMMON_VARIABLES: ReadonlySet<string> = new Set(['DATABASE_URL', 'TANDEM_DATA_DIR']);

export interface ServiceDeploymentOptions {
  /** Processes of the service: 0 to 32, of features 0 or 1. Default 1. */
  readonly replicas?: number;
  /** Environment variables of these processes, besides those that they inherit. Default: none. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface DeploymentOptions {
  /** What is not as usual, by service. */
  readonly services?: Readonly<Partial<Record<DeployedService, ServiceDeploymentOptions>>>;
}

/** How often each service runs, and with what environment. */
export interface Deployment {
  readonly type: 'deployment';
  readonly services: Readonly<Record<DeployedService, Required<ServiceDeploymentOptions>>>;
}

/**
 * Describes a deployment for `tandem up`: the default export of `tandem.config.ts` beside the app. Throws a
 * TypeError that names the mistake.
 *
 * ```ts
 * export default defineDeployment({ services: { serve: { replicas: 2 } } });
 * ```
 */
export function defineDeployment(options: DeploymentOptions): Deployment {
  const given: Readonly<Record<string, ServiceDeploymentOptions | undefined>> = options.services ?? {};
  for (const name of Object.keys(given)) {
    if (!DEPLOYED_SERVICES.some((service) => service === name)) {
      throw new TypeError(`Deployment: expected ${DEPLOYED_SERVICES.join(', ')}, got '${name}'`);
    }
  }
  const describe = (service: DeployedService): Required<ServiceDeploymentOptions> => {
    const { replicas = 1, env = {} } = given[service] ?? {};
    assertReplicas(service, replicas);
    for (const [name, value] of Object.entries(env)) assertVariable(service, name, value);
    return Object.freeze({ replicas, env: Object.freeze({ ...env }) });
  };
  return Object.freeze({
    type: 'deployment',
    services: Object.freeze({
      ingest: describe('ingest'),
      features: describe('features'),
      registry: describe('registry'),
      train: describe('train'),
      serve: describe('serve'),
      gateway: describe('gateway'),
    }),
  });
}

/** Throws a TypeError unless that many processes of the service may run. */
export function assertReplicas(service: DeployedService, replicas: number): void {
  const most = service === 'features' ? 1 : REPLICAS_MAX;
  if (Number.isInteger(replicas) && replicas >= 0 && replicas <= most) return;
  const why = service === 'features' ? ', because it keeps the online state' : '';
  const range = service === 'features' ? '0 or 1' : `0 to ${String(most)}`;
  throw new TypeError(`Replicas of ${service}: expected ${range}${why}; got ${String(replicas)}`);
}

function assertVariable(service: string, name: string, value: unknown): void {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || typeof value !== 'string' || value.includes('\0')) {
    throw new TypeError(`Environment of ${service}: expected a name and a text, got '${name}'`);
  }
  if (COMMON_VARIABLES.has(name)) {
    throw new TypeError(
      `Environment of ${service}: ${name} is the same for every process; give it to 'tandem up'`,
    );
  }
}
