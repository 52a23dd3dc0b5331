import type { IContainer } from 'kubernetes-models/v1/Container';
import type { IEnvVar } from 'kubernetes-models/v1/EnvVar';
import type { IPodSpec } from 'kubernetes-models/v1/PodSpec';
import { objectName, secretName } from './names.ts';
import type { Plan } from './plan.ts';

/** The port of every service: in its pods, of its Service, and the only one that others may reach. */
export const HTTP_PORT = 7_717;
/** User and group of the image, by number: a cluster can only check a number. */
export const USER_ID = 10_001;
/** Folder of the data in a container. It outlives a restart of the container, not the pod. */
const DATA_DIR = '/var/lib/tandem';
/** Where certificate, key and authority are, by the names that a Secret of certificates has. */
const TLS_DIR = '/etc/tandem/tls';
/** For the group of the process to read, and nobody else. */
const TLS_FILE_MODE = 0o440;
/** Files of libraries that ask for a temporary folder. */
const TEMPORARY_MI = 256;

/** Times of stopping, in seconds: what a pod gets is their sum. */
export const STOPPING = {
  /** Routers learn meanwhile that the pod is on its way out; it goes on answering. */
  noticeSeconds: 5,
  /** What the process takes to answer what has come and to save its state. */
  graceSeconds: 20,
  /** The process ends itself before the node does. */
  marginSeconds: 5,
} as const;

/** What is secret for every part: where the database is, with its password. */
export const DATABASE_SECRETS: readonly string[] = ['DATABASE_URL'];
/** What is secret for services besides: where objects are, and the key to them. */
export const OBJECT_SECRETS: readonly string[] = ['OBJECT_URL', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'];

/** Settings of every pod, for the ConfigMap. */
export function commonSettings(plan: Plan): Record<string, string> {
  return {
    TANDEM_DATABASE_CONNECTIONS_MAX: String(plan.connectionsMax),
    TANDEM_DATA_DIR: DATA_DIR,
    TANDEM_GRACE_MS: String(STOPPING.graceSeconds * 1_000),
    TANDEM_LOG_LEVEL: 'info',
    TANDEM_PORT: String(HTTP_PORT),
    ...tlsSettings(plan),
  };
}

function tlsSettings({ tls }: Plan): Record<string, string> {
  if (tls === undefined) return { TANDEM_HTTP_INSECURE_HTTP: 'true' };
  return {
    TANDEM_TLS_CA_FILE: `${TLS_DIR}/ca.crt`,
    TANDEM_TLS_CERT_FILE: `${TLS_DIR}/tls.crt`,
    TANDEM_TLS_KEY_FILE: `${TLS_DIR}/tls.key`,
    TANDEM_TLS_SERVER_NAME: tls.serverName,
  };
}

export interface PodOptions {
  /** Part that the pod belongs to: a service, or the migration. */
  readonly component: string;
  /** What the image's entry point is told. */
  readonly args: readonly string[];
  /** Variables whose values lie in the Secret. */
  readonly secrets: readonly string[];
  readonly env: readonly IEnvVar[];
  readonly cpuMilli: number;
  readonly memoryMi: number;
  readonly scratchMi: number;
  /** What only a container that serves has. */
  readonly serving?: Pick<
    IContainer,
    'ports' | 'startupProbe' | 'readinessProbe' | 'livenessProbe' | 'lifecycle'
  >;
}

/** A pod with one container that may do nothing but its work. */
export function podSpec(plan: Plan, options: PodOptions): IPodSpec {
  const { component, cpuMilli, memoryMi, scratchMi } = options;
  const tls = options.serving === undefined ? undefined : plan.tls;
  const storage = `${String(scratchMi + TEMPORARY_MI)}Mi`;
  return {
    serviceAccountName: objectName(plan, component),
    automountServiceAccountToken: false,
    // The variables that a cluster makes of Services (TANDEM_..._PORT) would be unknown options, which are errors.
    enableServiceLinks: false,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: USER_ID,
      runAsGroup: USER_ID,
      fsGroup: USER_ID,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    containers: [
      {
        name: component,
        image: plan.image.reference,
        imagePullPolicy: plan.image.pinned === 'moving' ? 'Always' : 'IfNotPresent',
        args: [...options.args],
        envFrom: [{ configMapRef: { name: objectName(plan, 'config') } }],
        env: [...options.secrets.map((name) => secretVariable(plan, name)), ...options.env],
        ...options.serving,
        resources: {
          requests: {
            cpu: `${String(cpuMilli)}m`,
            memory: `${String(memoryMi)}Mi`,
            'ephemeral-storage': storage,
          },
          limits: {
            cpu: `${String(2 * cpuMilli)}m`,
            memory: `${String(memoryMi)}Mi`,
            'ephemeral-storage': storage,
          },
        },
        securityContext: {
          allowPrivilegeEscalation: false,
          capabilities: { drop: ['ALL'] },
          privileged: false,
          readOnlyRootFilesystem: true,
        },
        volumeMounts: [
          { name: 'data', mountPath: DATA_DIR },
          { name: 'temporary', mountPath: '/tmp' },
          ...(tls === undefined ? [] : [{ name: 'tls', mountPath: TLS_DIR, readOnly: true }]),
        ],
      },
    ],
    volumes: [
      { name: 'data', emptyDir: { sizeLimit: `${String(scratchMi)}Mi` } },
      { name: 'temporary', emptyDir: { sizeLimit: `${String(TEMPORARY_MI)}Mi` } },
      ...(tls === undefined
        ? []
        : [{ name: 'tls', secret: { secretName: tls.secret, defaultMode: TLS_FILE_MODE } }]),
    ],
  };
}

/** A variable whose value lies in the app's Secret, under the same name. */
function secretVariable(plan: Plan, name: string): IEnvVar {
  return { name, valueFrom: { secretKeyRef: { name: secretName(plan), key: name } } };
}
