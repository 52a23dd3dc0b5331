/** Services that a deployment may name. */
const DEPLOYED_SERVICES = ['ingest', 'features', 'registry', 'train', 'serve', 'gateway'] as const;
export type DeployedService = (typeof DEPLOYED_SERVICES)[number];

/** Most processes of one service. */
export const REPLICAS_MAX = 32;
/** Most processes of features: each has at least one of the 16 state partitions. */
const FEATURES_MAX = 16;
/** Most threads of a features process: each has at least one of the state partitions. */
const THREADS = { min: 0, max: FEATURES_MAX } as const;
/** Variables that must be the same for every process: each has a place of its own to be given at. */
const COMMON_VARIABLES: ReadonlySet<string> = new Set(['DATABASE_URL', 'OBJECT_URL', 'TANDEM_DATA_DIR']);
/** Bounds of shares: cores of the processor, and memory in MiB. */
const CPU = { min: 0.01, max: 1_024 } as const;
const DOWN_AFTER = { min: 1, max: 86_400 } as const;
const MEMORY = { min: 128, max: 16_777_216 } as const;

/** Between these numbers of processes load decides. */
export interface ReplicaRange {
  /** Fewest processes. 0 means that the service ends when there is nothing to do, and starts when there is. */
  readonly min: number;
  /** Most processes. */
  readonly max: number;
}

export interface ServiceDeploymentOptions {
  /**
   * Processes of the service: a number that stays, or a range, within which the service's signals decide. 0 to 32, of
   * features at most 16. Default: ingest, serve and gateway 1 to 4, train 0 to 2, features and
   * registry 1.
   */
  readonly replicas?: number | ReplicaRange;
  /**
   * Cores of one process, also a fraction. It decides how many processes fit on the machine and how many threads each one
   * has. Default: serve 0.25, features and train 0.2, ingest 0.15, gateway 0.1, registry 0.05.
   */
  readonly cpu?: number;
  /**
   * Memory of one process in MiB, at least 128. It decides how many processes fit on the machine; a process that holds
   * more is started anew, but only where the memory is given here. Default: train 1024, features 768, ingest and serve 384,
   * gateway and registry 256.
   */
  readonly memory?: number;
  /**
   * Of features alone: threads of one process that keep its state beside the one that answers, 0 to 16. Each costs a copy of what
   * every process knows of all events (ids, outcomes). Default 0: the one that answers does it itself.
   */
  readonly threads?: number;
  /** Environment variables of these processes, besides those that they inherit. Default: none. */
  readonly env?: Readonly<Record<string, string>>;
}

/** What the processes of all services have together. */
export interface MachineOptions {
  /** Cores. Default: those of the machine. */
  readonly cpu?: number;
  /** Memory in MiB. Default: that of the machine. */
  readonly memory?: number;
}

export interface DeploymentOptions {
  /** What is not as usual, by service. */
  readonly services?: Readonly<Partial<Record<DeployedService, ServiceDeploymentOptions>>>;
  readonly machine?: MachineOptions;
  /**
   * A process goes only when load asked for fewer in all of this time, in seconds, 1 to 86,400. Default 60.
   */
  readonly downAfterSeconds?: number;
}

/** How one service runs. */
export interface ServiceDeployment {
  readonly replicas: ReplicaRange;
  readonly cpu: number;
  readonly memory: number;
  /** Whether a process that holds more than its memory is started anew. */
  readonly memoryEnforced: boolean;
  readonly env: Readonly<Record<string, string>>;
}

/** How often each service runs, with what shares and what environment. */
export interface Deployment {
  readonly type: 'deployment';
  readonly services: Readonly<Record<DeployedService, ServiceDeployment>>;
  readonly machine: MachineOptions;
  readonly downAfterSeconds: number;
}

/** What a service has unless the deployment says otherwise: a machine of one core and 4 GiB runs one of each. */
const DEFAULTS: Readonly<Record<DeployedService, Pick<ServiceDeployment, 'replicas' | 'cpu' | 'memory'>>> = {
  ingest: { replicas: { min: 1, max: 4 }, cpu: 0.15, memory: 384 },
  features: { replicas: { min: 1, max: 4 }, cpu: 0.2, memory: 768 },
  registry: { replicas: { min: 1, max: 1 }, cpu: 0.05, memory: 256 },
  train: { replicas: { min: 0, max: 2 }, cpu: 0.2, memory: 1_024 },
  serve: { replicas: { min: 1, max: 4 }, cpu: 0.25, memory: 384 },
  gateway: { replicas: { min: 1, max: 4 }, cpu: 0.1, memory: 256 },
};

/**
 * Describes a deployment for `tandem up`: the default export of `tandem.config.ts` beside the app. Throws a
 * TypeError that names the mistake.
 *
 * ```ts
 * export default defineDeployment({
 *   services: { serve: { replicas: { min: 1, max: 8 }, cpu: 0.5, memory: 512 } },
 *   machine: { cpu: 6, memory: 8192 },
 * });
 * ```
 */
export function defineDeployment(options: DeploymentOptions): Deployment {
  const given: Readonly<Record<string, ServiceDeploymentOptions | undefined>> = options.services ?? {};
  for (const name of Object.keys(given)) {
    if (!DEPLOYED_SERVICES.some((service) => service === name)) {
      throw new TypeError(`Deployment: expected ${DEPLOYED_SERVICES.join(', ')}, got '${name}'`);
    }
  }
  const describe = (service: DeployedService): ServiceDeployment => {
    const { replicas = DEFAULTS[service].replicas, threads, ...shares } = given[service] ?? {};
    const env = { ...threadsVariable(service, threads), ...given[service]?.env };
    for (const [name, value] of Object.entries(env)) assertVariable(service, name, value);
    const cpu = assertNumber(`CPU of ${service}`, 'cores', CPU, shares.cpu ?? DEFAULTS[service].cpu);
    const memory = shares.memory ?? DEFAULTS[service].memory;
    return Object.freeze({
      replicas: readReplicaRange(service, replicas),
      cpu,
      memory: assertNumber(`Memory of ${service}`, 'MiB', MEMORY, memory),
      memoryEnforced: shares.memory !== undefined,
      env: Object.freeze(env),
    });
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
    machine: Object.freeze(readMachine(options.machine ?? {})),
    downAfterSeconds: assertNumber('downAfterSeconds', 'seconds', DOWN_AFTER, options.downAfterSeconds ?? 60),
  });
}

/** The option of the service that says how many threads it has. */
function threadsVariable(service: DeployedService, threads: number | undefined): Record<string, string> {
  if (threads === undefined) return {};
  if (service !== 'features') throw new TypeError(`Threads of ${service}: only features has threads`);
  if (!Number.isInteger(threads))
    throw new TypeError(`Threads of features: expected a whole number; got ${String(threads)}`);
  assertNumber('Threads of features', 'threads', THREADS, threads);
  return { TANDEM_FEATURES_THREADS: String(threads) };
}

function readMachine({ cpu, memory }: MachineOptions): MachineOptions {
  return {
    ...(cpu === undefined ? {} : { cpu: assertNumber('CPU of the machine', 'cores', CPU, cpu) }),
    ...(memory === undefined ? {} : { memory: assertNumber('Memory of the machine', 'MiB', MEMORY, memory) }),
  };
}

/** A number of processes or a range of them, as a range. Throws a TypeError unless that many may run. */
export function readReplicaRange(service: DeployedService, replicas: number | ReplicaRange): ReplicaRange {
  const { min, max } = typeof replicas === 'number' ? { min: replicas, max: replicas } : replicas;
  assertReplicas(service, min);
  assertReplicas(service, max);
  if (min > max) {
    throw new TypeError(
      `Replicas of ${service}: expected min to be at most max; got ${String(min)} to ${String(max)}`,
    );
  }
  if (service === 'features' && min === 0 && max > 0) {
    throw new TypeError('Replicas of features: expected min to be at least 1, because it follows the log');
  }
  return Object.freeze({ min, max });
}

/** Throws a TypeError unless that many processes of the service may run. */
export function assertReplicas(service: DeployedService, replicas: number): void {
  const most = service === 'features' ? FEATURES_MAX : REPLICAS_MAX;
  if (Number.isInteger(replicas) && replicas >= 0 && replicas <= most) return;
  throw new TypeError(`Replicas of ${service}: expected 0 to ${String(most)}; got ${String(replicas)}`);
}

function assertNumber(
  what: string,
  unit: string,
  { min, max }: { readonly min: number; readonly max: number },
  value: number,
): number {
  if (Number.isFinite(value) && value >= min && value <= max) return value;
  throw new TypeError(`${what}: expected ${String(min)} to ${String(max)} ${unit}; got ${String(value)}`);
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
