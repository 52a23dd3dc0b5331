import type { INetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy';
import type { INetworkPolicyIngressRule } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicyIngressRule';
import { appLabels, metadata, selectorLabels } from './names.ts';
import type { Plan, ServicePlan } from './plan.ts';
import { HTTP_PORT } from './pod.ts';

/** Label of a namespace that says what its pods may do here. */
const ROLE_LABEL = 'tandem/role';
/** Values of that label. */
const ROLES = {
  /** Its pods may reach the gateway: where the cluster's own gateway or ingress runs. */
  entry: 'entry',
  /** Its pods may read metrics: where Prometheus runs. */
  monitoring: 'monitoring',
} as const;

const http = [{ port: HTTP_PORT, protocol: 'TCP' as const }];

/** Nobody talks to anybody; the other policies say who may. */
export function denyAll(plan: Plan): INetworkPolicy {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: metadata(plan, 'network', '-deny-all'),
    spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'] },
  };
}

/** Every part needs names, PostgreSQL and the object store. Those two lie anywhere: only their ports are known. */
export function commonEgress(plan: Plan): INetworkPolicy {
  const kubeSystem = { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } };
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: metadata(plan, 'network', '-stores'),
    spec: {
      podSelector: { matchLabels: appLabels(plan) },
      policyTypes: ['Egress'],
      egress: [
        {
          to: [{ namespaceSelector: kubeSystem, podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } } }],
          ports: [
            { port: 53, protocol: 'UDP' },
            { port: 53, protocol: 'TCP' },
          ],
        },
        ...[plan.databasePort, plan.objectsPort, ...plan.egressPorts].map((port) => ({
          ports: [{ port, protocol: 'TCP' as const }],
        })),
      ],
    },
  };
}

/** Who may call a service, and whom it calls. */
export function servicePolicy(plan: Plan, { name, traits }: ServicePlan): INetworkPolicy {
  const callers = plan.services.filter((other) => other.traits.calls.includes(name));
  const podsOf = (service: string) => ({ podSelector: { matchLabels: selectorLabels(plan, service) } });
  const namespacesOf = (role: string) => ({ namespaceSelector: { matchLabels: { [ROLE_LABEL]: role } } });
  const ingress: INetworkPolicyIngressRule[] = [
    {
      from: [
        ...callers.map((caller) => podsOf(caller.name)),
        ...(name === 'gateway' ? [namespacesOf(ROLES.entry)] : []),
        namespacesOf(ROLES.monitoring),
      ],
      ports: http,
    },
  ];
  const { calls } = traits;
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: metadata(plan, name),
    spec: {
      podSelector: { matchLabels: selectorLabels(plan, name) },
      policyTypes: ['Ingress', 'Egress'],
      ingress,
      ...(calls.length === 0 ? {} : { egress: [{ to: calls.map(podsOf), ports: http }] }),
    },
  };
}
