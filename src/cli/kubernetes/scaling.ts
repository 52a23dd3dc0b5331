import type { IScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject';
import type { ITriggerAuthentication } from '@kubernetes-models/keda/keda.sh/v1alpha1/TriggerAuthentication';
import type { IHorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler';
import type { IHorizontalPodAutoscalerBehavior } from 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscalerBehavior';
import type { IMetricSpec } from 'kubernetes-models/autoscaling/v2/MetricSpec';
import {
  SCALING_METRICS,
  SCALING_SIGNALS,
  type ScalingSignal,
  type ServiceName,
} from '../../contract/index.ts';
import { NEED_MS } from '../../runtime/index.ts';
import { metadata, objectName, secretName } from './names.ts';
import type { Plan, ServicePlan } from './plan.ts';

/**
 * Up at once and by as much as doubles it, down by one a minute after five quiet ones: a replica that is missed costs
 * more than one that idles.
 */
const BEHAVIOUR: IHorizontalPodAutoscalerBehavior = {
  scaleUp: {
    stabilizationWindowSeconds: 0,
    selectPolicy: 'Max',
    policies: [
      { type: 'Percent', value: 100, periodSeconds: 15 },
      { type: 'Pods', value: 2, periodSeconds: 15 },
    ],
  },
  scaleDown: {
    stabilizationWindowSeconds: 300,
    selectPolicy: 'Max',
    policies: [{ type: 'Pods', value: 1, periodSeconds: 60 }],
  },
};

/** How often KEDA asks, and how long nothing must be to do before the last pod goes, in seconds. */
const KEDA_SECONDS = { polling: 5, coolDown: 300 } as const;

/** Scales a service by its own signals; the one that asks for most pods decides. */
export function autoscaler(plan: Plan, { name, min, max }: ServicePlan): IHorizontalPodAutoscaler {
  return {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: metadata(plan, name),
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: objectName(plan, name) },
      minReplicas: min,
      maxReplicas: max,
      behavior: BEHAVIOUR,
      metrics: SCALING_SIGNALS[name].map((signal) => metricOf(plan, name, signal)),
    },
  };
}

function metricOf(plan: Plan, service: string, signal: ScalingSignal): IMetricSpec {
  const target = { type: 'AverageValue', averageValue: String(signal.target) };
  const labels = { service, signal: signal.name };
  switch (signal.of) {
    // Each pod says its own part: the cluster takes the average.
    case 'process':
      return {
        type: 'Pods',
        pods: { metric: { name: SCALING_METRICS.signal, selector: { matchLabels: labels } }, target },
      };
    // Each pod says the same: as a metric of pods it would be counted once for each of them.
    case 'service':
      return {
        type: 'External',
        external: {
          metric: {
            name: SCALING_METRICS.signal,
            selector: { matchLabels: { ...labels, namespace: plan.namespace } },
          },
          target,
        },
      };
  }
}

type Trigger = NonNullable<IScaledObject['spec']>['triggers'][number];

/** The same for KEDA, which makes an autoscaler of its own of it, and can go down to none. */
export function scaledObject(plan: Plan, service: ServicePlan): IScaledObject {
  const { name, min, max } = service;
  return {
    apiVersion: 'keda.sh/v1alpha1',
    kind: 'ScaledObject',
    metadata: metadata(plan, name),
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: objectName(plan, name) },
      minReplicaCount: min,
      maxReplicaCount: max,
      pollingInterval: KEDA_SECONDS.polling,
      cooldownPeriod: KEDA_SECONDS.coolDown,
      advanced: { horizontalPodAutoscalerConfig: { name: objectName(plan, name), behavior: BEHAVIOUR } },
      triggers:
        min === 0
          ? fromNone(plan, name)
          : SCALING_SIGNALS[name].map((signal) => metricTrigger(plan, name, signal)),
    },
  };
}

/** Where there is no pod nobody says how much there is to do, so the database is asked; pods say their own part still. */
function fromNone(plan: Plan, name: ServiceName): Trigger[] {
  const own = SCALING_SIGNALS[name].filter((signal) => signal.of === 'process');
  return [databaseTrigger(plan, name), ...own.map((signal) => metricTrigger(plan, name, signal))];
}

function metricTrigger(plan: Plan, service: string, signal: ScalingSignal): Trigger {
  const labels = `namespace="${plan.namespace}",service="${service}",signal="${signal.name}"`;
  const over = signal.of === 'process' ? 'sum' : 'max';
  return {
    type: 'prometheus',
    name: signal.name.replaceAll('_', '-'),
    metricType: 'AverageValue',
    metadata: {
      serverAddress: plan.prometheus,
      query: `${over}(${SCALING_METRICS.signal}{${labels}})`,
      threshold: String(signal.target),
      // Between a restart and the first reading there is nothing to read, which is no reason to change anything.
      ignoreNullValues: 'true',
    },
  };
}

/** What there is to do for a service that may have no pod to say so: its open runs, and calls that wait for it. */
export function openWork(service: ServiceName): string {
  return (
    `select (select count(*) from train_run where state in ('queued', 'running')) + ` +
    `(select count(*) from tandem_need where service = '${service}' ` +
    `and needed_at > now() - interval '${String(NEED_MS / 1_000)} seconds')`
  );
}

function databaseTrigger(plan: Plan, service: ServiceName): Trigger {
  const target = SCALING_SIGNALS[service][0]?.target ?? 1;
  return {
    type: 'postgresql',
    name: 'open-work',
    metricType: 'AverageValue',
    metadata: { query: openWork(service), targetQueryValue: String(target), activationTargetQueryValue: '0' },
    authenticationRef: { name: metadata(plan, service).name },
  };
}

/** Lets KEDA ask the database, with the address that the pods have; only for a service that may have none. */
export function triggerAuthentication(plan: Plan, { name }: ServicePlan): ITriggerAuthentication {
  return {
    apiVersion: 'keda.sh/v1alpha1',
    kind: 'TriggerAuthentication',
    metadata: metadata(plan, name),
    spec: {
      secretTargetRef: [{ parameter: 'connection', name: secretName(plan), key: 'DATABASE_URL' }],
    },
  };
}
