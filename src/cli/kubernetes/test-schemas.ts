import { BackendTLSPolicy } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/BackendTLSPolicy';
import { HTTPRoute } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute';
import { ScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject';
import { TriggerAuthentication } from '@kubernetes-models/keda/keda.sh/v1alpha1/TriggerAuthentication';
import { Deployment } from 'kubernetes-models/apps/v1/Deployment';
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler';
import { Job } from 'kubernetes-models/batch/v1/Job';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap';
import { Namespace } from 'kubernetes-models/v1/Namespace';
import { Service } from 'kubernetes-models/v1/Service';
import { ServiceAccount } from 'kubernetes-models/v1/ServiceAccount';

/** Models whose `validate` was compiled from the published schemas. */
const MODELS = [
  BackendTLSPolicy,
  ConfigMap,
  Deployment,
  HorizontalPodAutoscaler,
  HTTPRoute,
  Job,
  Namespace,
  NetworkPolicy,
  PodDisruptionBudget,
  ScaledObject,
  Service,
  ServiceAccount,
  TriggerAuthentication,
];

/**
 * What is wrong with an object: what its schema says, and every field that the schema does not know.
 *
 * The schemas are open, as the cluster's are: `imag:` is dropped in silence. But a validator reads every field that its
 * schema names and, of a map, every key; so a field that nobody read is one that the schema does not have.
 */
export function mistakesOf(object: unknown): string[] {
  const { apiVersion, kind } = object as { readonly apiVersion?: unknown; readonly kind?: unknown };
  const model = MODELS.find((item) => item.apiVersion === apiVersion && item.kind === kind);
  if (model === undefined) return [`there is no schema of ${String(apiVersion)} ${String(kind)}`];
  const watched = watch(object);
  try {
    model.prototype.validate.call(watched.value as never);
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
  return watched.unread().map((path) => `${path}: unknown field`);
}

interface Watched {
  readonly value: unknown;
  /** Paths of the fields that nobody read. */
  unread(): string[];
}

function watch(value: unknown, path = ''): Watched {
  if (typeof value !== 'object' || value === null) return { value, unread: () => [] };
  const children = new Map(
    Object.entries(value).map(([key, child]) => [key, watch(child, `${path}/${key}`)] as const),
  );
  const read = new Set<string>();
  const proxy = new Proxy(value, {
    get(target, key) {
      if (typeof key === 'string') read.add(key);
      const child = typeof key === 'string' ? children.get(key) : undefined;
      return child === undefined ? Reflect.get(target, key) : child.value;
    },
  });
  return {
    value: proxy,
    unread: () =>
      [...children].flatMap(([key, child]) => (read.has(key) ? child.unread() : [`${path}/${key}`])),
  };
}
