import { PlatformError, type ServiceName } from '../../contract/index.ts';
import { assertReplicas, defineDeployment, type Deployment, type ReplicaRange } from '../../define/index.ts';
import { type Image, readImage } from './image.ts';
import { DEPLOYED, type ServiceTraits, TRAITS } from './traits.ts';

/** What can be rendered beside the plain manifests. */
export const OVERLAYS = ['keda', 'gateway-api'] as const;
export type Overlay = (typeof OVERLAYS)[number];

export interface PlanOptions {
  /** The app's name. */
  readonly app: string;
  readonly image: string;
  /** Default: the app's name. */
  readonly namespace?: string | undefined;
  readonly overlays?: readonly string[];
  /** Name under which the world reaches the gateway. */
  readonly host?: string | undefined;
  /** Gateway that the route hangs on, as `NAMESPACE/NAME`. */
  readonly parent?: string | undefined;
  /** Address of Prometheus, for KEDA. */
  readonly prometheus?: string | undefined;
  /** Connections that PostgreSQL has for the app. */
  readonly databaseConnections?: string | undefined;
  readonly databasePort?: string | undefined;
  readonly objectsPort?: string | undefined;
  /** Secret with the certificate of the pods. Default: the app's name and `-tls`. */
  readonly tlsSecret?: string | undefined;
  /** Whether pods speak plain HTTP among themselves, because something else keeps the network private. */
  readonly insecureHttp?: boolean | undefined;
  /** Ports that pods may reach besides. */
  readonly egressPorts?: readonly string[];
  /** Variables with the addresses of tables that sources are polled from. Default: none. */
  readonly polledVariables?: readonly string[] | undefined;
  /** What the app's deployment says; `undefined` when there is none. */
  readonly deployment?: Deployment | undefined;
}

export interface ServicePlan {
  readonly name: ServiceName;
  readonly traits: ServiceTraits;
  /** Pods that were asked for at least. */
  readonly wanted: number;
  readonly min: number;
  readonly max: number;
  /** Processor of one pod, in thousandths of a core. */
  readonly cpuMilli: number;
  /** Memory of one pod in MiB: asked for and limited alike, so that no neighbour is killed for it. */
  readonly memoryMi: number;
  /** Whether only one may run at a time, so that an update stops the old one first. */
  readonly isSingle: boolean;
  /** Variables that the deployment gives it. */
  readonly env: Readonly<Record<string, string>>;
  /** Names of its variables whose values are secret: they come from the Secret. */
  readonly secretEnv: readonly string[];
}

/** Everything that is decided before the first object is made. */
export interface Plan {
  /** The app's name as a cluster takes it. */
  readonly app: string;
  readonly namespace: string;
  readonly image: Image;
  readonly overlays: ReadonlySet<Overlay>;
  readonly host: string | undefined;
  readonly parent: { readonly namespace: string; readonly name: string } | undefined;
  readonly prometheus: string;
  /** Connections of one process. */
  readonly connectionsMax: number;
  readonly databasePort: number;
  readonly objectsPort: number;
  readonly egressPorts: readonly number[];
  /** The certificate of all pods; `undefined` when they speak plain HTTP. */
  readonly tls: { readonly secret: string; readonly serverName: string } | undefined;
  readonly services: readonly ServicePlan[];
  /** What whoever renders should know. */
  readonly warnings: readonly string[];
}

/** Where the charts of Prometheus's community put it. */
const PROMETHEUS = 'http://prometheus-server.monitoring.svc:80';
const DATABASE_CONNECTIONS = 300;
const POSTGRESQL_PORT = 5_432;
const OBJECTS_PORT = 443;
/** Bounds of what one process takes of the connections. */
const CONNECTIONS = { least: 3, most: 20 } as const;
/** Longest name of an app: names of objects and services have room for 63, ours add a suffix. */
const APP_LENGTH_MAX = 40;
const MILLI = 1_000;

/** Decides what is rendered. Throws CONFIGURATION that names the mistake. */
export function planOf(options: PlanOptions): Plan {
  const app = appName(options.app);
  const namespace = dnsLabel('--namespace', options.namespace ?? app);
  const image = readImage(options.image);
  const overlays = readOverlays(options.overlays ?? []);
  const services = DEPLOYED.map((name) => servicePlan(name, options));
  const connections = whole('--database-connections', options.databaseConnections ?? DATABASE_CONNECTIONS);
  const processes = services.reduce((sum, { max }) => sum + max, 0);
  const share = Math.floor(connections / processes);
  return {
    app,
    namespace,
    image,
    overlays,
    host: options.host === undefined ? undefined : dnsName('--host', options.host),
    parent: options.parent === undefined ? undefined : readParent(options.parent),
    prometheus: readUrl('--prometheus', options.prometheus ?? PROMETHEUS),
    connectionsMax: Math.min(Math.max(share, CONNECTIONS.least), CONNECTIONS.most),
    databasePort: port('--database-port', options.databasePort ?? POSTGRESQL_PORT),
    objectsPort: port('--objects-port', options.objectsPort ?? OBJECTS_PORT),
    tls: tlsOf(app, namespace, options),
    egressPorts: (options.egressPorts ?? []).map((text) => port('--egress-port', text)),
    services,
    warnings: [
      ...routeMistakes(overlays, options),
      ...imageWarnings(image),
      ...(options.insecureHttp === true
        ? [
            'pods speak plain HTTP to one another, keys included: see to it that nobody listens on the network between them',
          ]
        : []),
      ...(share >= CONNECTIONS.least
        ? []
        : [
            `${String(processes)} processes need ${String(processes * CONNECTIONS.least)} connections to PostgreSQL at least; ` +
              `--database-connections is ${String(connections)}`,
          ]),
      ...services
        .filter(({ wanted, min }) => wanted < min)
        .map(
          ({ name }) => `${name} has one pod at least: the cluster's autoscaler cannot start the first one`,
        ),
      ...services.flatMap(({ name, secretEnv }) =>
        secretEnv.map(
          (variable) => `${variable} of ${name} is taken from the Secret; its value was not written`,
        ),
      ),
    ],
  };
}

function servicePlan(name: ServiceName, options: PlanOptions): ServicePlan {
  const traits = TRAITS[name];
  const given = givenOf(name, options.deployment);
  const { env } = given;
  const isSingle = mayRunOnce(name);
  const wanted = given.replicas ?? traits.replicas;
  const most = isSingle ? 1 : Number.POSITIVE_INFINITY;
  const min = Math.min(Math.max(wanted.min, leastOf(name, options)), most);
  const polled = name === 'ingest' ? (options.polledVariables ?? []) : [];
  const secretEnv = [...new Set([...Object.keys(env).filter(isSecretName), ...polled])].sort();
  return {
    name,
    traits,
    wanted: wanted.min,
    min,
    max: Math.min(Math.max(wanted.max, min, 1), most),
    cpuMilli: Math.ceil((given.cpu ?? traits.cpu) * MILLI),
    memoryMi: Math.ceil(given.memory ?? traits.memory),
    isSingle,
    env: Object.fromEntries(
      Object.entries(env)
        .filter(([key]) => !secretEnv.includes(key))
        .sort(([one], [other]) => (one < other ? -1 : 1)),
    ),
    secretEnv,
  };
}

interface Given {
  readonly replicas?: ReplicaRange | undefined;
  readonly cpu?: number | undefined;
  readonly memory?: number | undefined;
  readonly env: Readonly<Record<string, string>>;
}

/** What a team wrote of a service. What one machine has as usual is no wish: a cluster has its own. */
function givenOf(name: ServiceName, deployment: Deployment | undefined): Given {
  if (deployment === undefined) return { env: {} };
  const { replicas, cpu, memory, memoryEnforced, env } = deployment.services[name];
  const usual = defineDeployment({}).services[name];
  const isUsual = replicas.min === usual.replicas.min && replicas.max === usual.replicas.max;
  return {
    replicas: isUsual ? undefined : replicas,
    cpu: cpu === usual.cpu ? undefined : cpu,
    memory: memoryEnforced ? memory : undefined,
    env,
  };
}

/** A cluster's own autoscaler looks at pods, so there must be one; KEDA can start the first. */
function leastOf(name: ServiceName, { overlays }: PlanOptions): number {
  return name === 'train' && overlays?.includes('keda') === true ? 0 : 1;
}

/** Whether the deployment's own rule allows one process of the service and no more. */
function mayRunOnce(name: ServiceName): boolean {
  try {
    assertReplicas(name, 2);
    return false;
  } catch {
    return true;
  }
}

/** What people call secrets. A value under such a name must not lie in a manifest. */
function isSecretName(name: string): boolean {
  return /(SECRET|PASSWORD|PASSPHRASE|TOKEN|CREDENTIALS?|_KEY|_KEYS|_DSN)$/i.test(name);
}

function appName(name: string): string {
  const label = name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1-$2')
    .replaceAll('_', '-')
    .toLowerCase()
    .replace(/-+$/, '');
  if (label.length <= APP_LENGTH_MAX) return label;
  throw new PlatformError(
    'CONFIGURATION',
    `The app's name: expected at most ${String(APP_LENGTH_MAX)} characters for a cluster, got '${label}'`,
  );
}

function readOverlays(texts: readonly string[]): Set<Overlay> {
  return new Set(
    texts.map((text) => {
      const found = OVERLAYS.find((overlay) => overlay === text);
      if (found !== undefined) return found;
      throw new PlatformError('CONFIGURATION', `--overlay: expected ${OVERLAYS.join(', ')}; got '${text}'`);
    }),
  );
}

/** A route without a name or a gateway would match everything, or nothing. */
function routeMistakes(overlays: ReadonlySet<Overlay>, options: PlanOptions): string[] {
  if (!overlays.has('gateway-api')) {
    return options.parent === undefined ? [] : ['--parent does nothing without --overlay gateway-api'];
  }
  for (const [flag, value] of [
    ['--host', options.host],
    ['--parent', options.parent],
  ] as const) {
    if (value === undefined)
      throw new PlatformError('CONFIGURATION', `--overlay gateway-api: expected ${flag} too`);
  }
  return [];
}

/** One certificate serves all pods: whoever calls one looks for this name, whatever the address is. */
function tlsOf(app: string, namespace: string, { tlsSecret, insecureHttp }: PlanOptions): Plan['tls'] {
  if (insecureHttp !== true) {
    const secret = dnsName('--tls-secret', tlsSecret ?? `${app}-tls`);
    return { secret, serverName: `${app}-gateway.${namespace}.svc` };
  }
  if (tlsSecret === undefined) return undefined;
  throw new PlatformError('CONFIGURATION', '--tls-secret: expected no --insecure-http beside it');
}

function imageWarnings({ reference, pinned }: Image): string[] {
  switch (pinned) {
    case 'digest':
      return [];
    case 'tag':
      return [`${reference} is named by a tag, which can be moved; a digest (NAME@sha256:...) cannot`];
    case 'moving':
      return [
        `${reference} is whatever was pushed last: a restart can change the version. Name a tag, or better a digest`,
      ];
  }
}

function dnsLabel(flag: string, text: string): string {
  if (/^[a-z]([a-z0-9-]*[a-z0-9])?$/.test(text) && text.length <= 63) return text;
  throw new PlatformError(
    'CONFIGURATION',
    `${flag}: expected small letters, digits and -, beginning with a letter, at most 63; got '${text}'`,
  );
}

function dnsName(flag: string, text: string): string {
  const labels = text.replace(/^\*\./, '').split('.');
  if (text.length <= 253 && labels.every((label) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(label))) {
    return text;
  }
  throw new PlatformError('CONFIGURATION', `${flag}: expected a name such as api.example.com, got '${text}'`);
}

function readParent(text: string): { namespace: string; name: string } {
  const [namespace = '', name = '', more] = text.split('/');
  if (namespace === '' || name === '' || more !== undefined) {
    throw new PlatformError('CONFIGURATION', `--parent: expected NAMESPACE/NAME of a Gateway, got '${text}'`);
  }
  return { namespace: dnsLabel('--parent', namespace), name: dnsName('--parent', name) };
}

function readUrl(flag: string, text: string): string {
  if (URL.canParse(text)) {
    const url = new URL(text);
    if (/^https?:$/.test(url.protocol) && url.username === '' && url.password === '') return text;
  }
  throw new PlatformError(
    'CONFIGURATION',
    `${flag}: expected http://host:port without user and password, got '${text.replace(/\/\/[^@/]*@/, '//***@')}'`,
  );
}

function whole(flag: string, value: string | number): number {
  const number = Number(value);
  if (/^\d{1,7}$/.test(String(value)) && number > 0) return number;
  throw new PlatformError(
    'CONFIGURATION',
    `${flag}: expected a whole number above 0, got '${String(value)}'`,
  );
}

function port(flag: string, value: string | number): number {
  const number = whole(flag, value);
  if (number <= 65_535) return number;
  throw new PlatformError('CONFIGURATION', `${flag}: expected a port, got '${String(value)}'`);
}
