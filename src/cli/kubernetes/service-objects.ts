import type { IDeployment } from 'kubernetes-models/apps/v1/Deployment';
import type { IDeploymentStrategy } from 'kubernetes-models/apps/v1/DeploymentStrategy';
import type { IPodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import type { IContainer } from 'kubernetes-models/v1/Container';
import type { IEnvVar } from 'kubernetes-models/v1/EnvVar';
import type { IProbe } from 'kubernetes-models/v1/Probe';
import type { IService } from 'kubernetes-models/v1/Service';
import type { IServiceAccount } from 'kubernetes-models/v1/ServiceAccount';
import { metadata, objectName, selectorLabels } from './names.ts';
import type { Plan, ServicePlan } from './plan.ts';
import { DATABASE_SECRETS, HTTP_PORT, OBJECT_SECRETS, podSpec, STOPPING } from './pod.ts';

const MI_BYTES = 2 ** 20;
/** Old versions that a cluster can go back to. */
const REVISIONS = 5;
/** How long an update may stand still before it counts as failed, in seconds. */
const PROGRESS_SECONDS = 600;
/** Times that the start is looked at, 2 s apart: restoring feature state and migrating take their time. */
const START_LOOKS = 300;

/** Every part is somebody of its own to the cluster, without any right in it. */
export function serviceAccount(plan: Plan, component: string): IServiceAccount {
  return {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: metadata(plan, component),
    automountServiceAccountToken: false,
  };
}

/** The pods of a service. Their number is left out: it belongs to the autoscaler, whatever is applied again. */
export function deployment(plan: Plan, service: ServicePlan, configHash: string): IDeployment {
  const { name, traits, cpuMilli, memoryMi } = service;
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: metadata(plan, name),
    spec: {
      revisionHistoryLimit: REVISIONS,
      progressDeadlineSeconds: PROGRESS_SECONDS,
      selector: { matchLabels: selectorLabels(plan, name) },
      strategy: strategy(service),
      template: {
        metadata: {
          labels: metadata(plan, name).labels,
          // Pods read the ConfigMap at their start only: another one must make others of them.
          annotations: { 'tandem/config-hash': configHash },
        },
        spec: {
          ...podSpec(plan, {
            component: name,
            args: ['run', name],
            secrets: secretsOf(service),
            env: environment(plan, service),
            serving: serving(plan),
            cpuMilli,
            memoryMi,
            scratchMi: traits.scratchMi,
          }),
          terminationGracePeriodSeconds:
            STOPPING.noticeSeconds + STOPPING.graceSeconds + STOPPING.marginSeconds,
          topologySpreadConstraints: ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'].map(
            (topologyKey) => ({
              maxSkew: 1,
              topologyKey,
              whenUnsatisfiable: 'ScheduleAnyway',
              labelSelector: { matchLabels: selectorLabels(plan, name) },
            }),
          ),
        },
      },
    },
  };
}

/** The new pod is ready before an old one stops, but where two at a time would do harm. */
function strategy({ isSingle }: ServicePlan): IDeploymentStrategy {
  if (isSingle) return { type: 'Recreate' };
  return { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } };
}

/** What it takes from the Secret, unless the deployment gives it openly: a name may stand once. */
function secretsOf({ env, secretEnv }: ServicePlan): string[] {
  const names = new Set([...DATABASE_SECRETS, ...OBJECT_SECRETS, ...secretEnv]);
  return [...names].filter((name) => !Object.hasOwn(env, name));
}

function environment(plan: Plan, { name, traits, memoryMi, env, secretEnv }: ServicePlan): IEnvVar[] {
  const service = objectName(plan, name);
  const names = [
    // Whoever finds a pod by discovery calls it by its address; in brackets where that is one of IPv6.
    '$(TANDEM_HOST)',
    '[$(TANDEM_HOST)]',
    service,
    `${service}.${plan.namespace}`,
    `${service}.${plan.namespace}.svc`,
    `${service}.${plan.namespace}.svc.cluster.local`,
    ...(name === 'gateway' && plan.host !== undefined ? [plan.host] : []),
  ];
  const own: IEnvVar[] = [
    // The address under which the others reach it is the one that it announces.
    { name: 'TANDEM_HOST', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
    // A container that is started again in its pod goes on with what it owned.
    { name: 'TANDEM_REPLICA', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
    { name: 'TANDEM_HTTP_HOST_NAMES', value: names.join(',') },
  ];
  if (traits.hasWarehouse) {
    const bytes = Math.floor(memoryMi / 2) * MI_BYTES;
    own.push({ name: 'TANDEM_WAREHOUSE_MEMORY_BYTES_MAX', value: String(bytes) });
  }
  const given = new Set([...Object.keys(env), ...secretEnv]);
  return [
    ...own.filter((variable) => !given.has(variable.name)),
    ...Object.entries(env).map(([key, value]) => ({ name: key, value: literal(value) })),
  ];
}

/** A cluster replaces `$(NAME)` in values; what a team wrote is meant as it stands. */
function literal(value: string): string {
  return value.replaceAll('$(', '$$$$(');
}

type Serving = Pick<IContainer, 'ports' | 'startupProbe' | 'readinessProbe' | 'livenessProbe' | 'lifecycle'>;

function serving(plan: Plan): Serving {
  // A node asks by address and takes any certificate.
  const scheme = plan.tls === undefined ? 'HTTP' : 'HTTPS';
  const probe = (path: string, times: Times): IProbe => ({
    httpGet: { path, port: 'http', scheme },
    ...times,
  });
  return {
    ports: [{ name: 'http', containerPort: HTTP_PORT, protocol: 'TCP' }],
    startupProbe: probe('/livez', { periodSeconds: 2, timeoutSeconds: 2, failureThreshold: START_LOOKS }),
    readinessProbe: probe('/readyz', { periodSeconds: 2, timeoutSeconds: 3, failureThreshold: 2 }),
    // Never by readiness: a database that is away would restart everything that could go on without it.
    livenessProbe: probe('/livez', { periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 3 }),
    lifecycle: { preStop: { sleep: { seconds: STOPPING.noticeSeconds } } },
  };
}

type Times = Pick<IProbe, 'periodSeconds' | 'timeoutSeconds' | 'failureThreshold'>;

/** The name of a service inside the cluster. Nothing is opened to the outside: that is the gateway's route to do. */
export function clusterService(plan: Plan, name: string): IService {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: metadata(plan, name),
    spec: {
      type: 'ClusterIP',
      selector: selectorLabels(plan, name),
      ports: [
        {
          name: 'http',
          port: HTTP_PORT,
          targetPort: 'http',
          protocol: 'TCP',
          appProtocol: plan.tls === undefined ? 'http' : 'https',
        },
      ],
    },
  };
}

/** Whoever empties a node takes one pod of a service at a time, and is never held up by one that does not work. */
export function disruptionBudget(plan: Plan, name: string): IPodDisruptionBudget {
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: metadata(plan, name),
    spec: {
      maxUnavailable: 1,
      selector: { matchLabels: selectorLabels(plan, name) },
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
    },
  };
}
