import { createHash } from 'node:crypto';
import type { IBackendTLSPolicy } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/BackendTLSPolicy';
import type { IHTTPRoute } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute';
import type { IJob } from 'kubernetes-models/batch/v1/Job';
import type { IConfigMap } from 'kubernetes-models/v1/ConfigMap';
import type { INamespace } from 'kubernetes-models/v1/Namespace';
import { appLabels, metadata, objectName } from './names.ts';
import type { Plan } from './plan.ts';
import { commonSettings, DATABASE_SECRETS, HTTP_PORT, podSpec } from './pod.ts';

/** How long a migration may take, in seconds: building an index on a large table does. */
const MIGRATION_SECONDS = 3_600;
/** Times that a migration is tried again, with growing pauses: the database may be on its way. */
const MIGRATION_RETRIES = 6;
/** How long a finished migration is kept for whoever wants to read its log, in seconds. */
const MIGRATION_KEPT_SECONDS = 86_400;

/** The app's own namespace, which admits only pods that can do nothing but their work. */
export function namespace(plan: Plan): INamespace {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name: plan.namespace,
      labels: {
        ...appLabels(plan),
        'pod-security.kubernetes.io/enforce': 'restricted',
        'pod-security.kubernetes.io/warn': 'restricted',
      },
    },
  };
}

/** Settings that every pod shares. */
export function configMap(plan: Plan): IConfigMap {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: metadata(plan, 'config'),
    data: commonSettings(plan),
  };
}

/** Changes with every setting that pods read at their start only. */
export function configHash(plan: Plan): string {
  return hash(JSON.stringify(commonSettings(plan)));
}

/**
 * Brings the tables up to date before the pods of a new version do. It bears the image in its name, because a job cannot
 * be changed: the same version applied again is the same job.
 */
export function migrationJob(plan: Plan): IJob {
  const component = 'migrate';
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: metadata(plan, component, `-${hash(plan.image.reference + configHash(plan))}`),
    spec: {
      backoffLimit: MIGRATION_RETRIES,
      activeDeadlineSeconds: MIGRATION_SECONDS,
      ttlSecondsAfterFinished: MIGRATION_KEPT_SECONDS,
      template: {
        metadata: { labels: metadata(plan, component).labels },
        spec: {
          ...podSpec(plan, {
            component,
            args: ['migrate'],
            secrets: DATABASE_SECRETS,
            env: [],
            cpuMilli: 100,
            memoryMi: 256,
            scratchMi: 64,
          }),
          restartPolicy: 'Never',
        },
      },
    },
  };
}

/** The way in for everybody outside, by a Gateway that somebody else keeps and that ends TLS. */
export function gatewayRoute(plan: Plan): IHTTPRoute {
  const { host, parent } = plan;
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: metadata(plan, 'gateway'),
    spec: {
      ...(parent === undefined
        ? {}
        : {
            parentRefs: [
              {
                group: 'gateway.networking.k8s.io',
                kind: 'Gateway',
                namespace: parent.namespace,
                name: parent.name,
              },
            ],
          }),
      ...(host === undefined ? {} : { hostnames: [host] }),
      rules: [
        {
          matches: [{ path: { type: 'PathPrefix', value: '/' } }],
          backendRefs: [{ kind: 'Service', name: objectName(plan, 'gateway'), port: HTTP_PORT }],
        },
      ],
    },
  };
}

/** Tells the Gateway to speak TLS to ours, and whom to expect there. */
export function backendTls(plan: Plan, serverName: string): IBackendTLSPolicy {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'BackendTLSPolicy',
    metadata: metadata(plan, 'gateway'),
    spec: {
      targetRefs: [{ group: '', kind: 'Service', name: objectName(plan, 'gateway') }],
      validation: {
        caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: objectName(plan, 'ca') }],
        hostname: serverName,
      },
    },
  };
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 10);
}
