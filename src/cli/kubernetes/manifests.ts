import { stringify } from 'yaml';
import { backendTls, configHash, configMap, gatewayRoute, migrationJob, namespace } from './app-objects.ts';
import { secretName } from './names.ts';
import { commonEgress, denyAll, servicePolicy } from './network.ts';
import type { Plan, ServicePlan } from './plan.ts';
import { DATABASE_SECRETS, OBJECT_SECRETS } from './pod.ts';
import { autoscaler, scaledObject, triggerAuthentication } from './scaling.ts';
import { clusterService, deployment, disruptionBudget, serviceAccount } from './service-objects.ts';

/** What every object of a cluster has. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata?: { readonly name?: string | undefined; readonly namespace?: string | undefined };
}

/** A file and the objects in it; `text` is what is written. */
export interface ManifestFile {
  /** Name in the folder. */
  readonly path: string;
  readonly objects: readonly Manifest[];
  readonly text: string;
}

/** First line of every file that is written: a folder with nothing else in it may be written again. */
export const MARK = "# Written by 'tandem k8s render'; what you change here the next run takes back.";

/** Renders everything. The same plan gives the same bytes. */
export function renderManifests(plan: Plan): ManifestFile[] {
  const files = new Map<string, Manifest[]>([
    ['namespace.yaml', [namespace(plan)]],
    ['config.yaml', [configMap(plan)]],
    ['network.yaml', [denyAll(plan), commonEgress(plan)]],
    ['migrate.yaml', [serviceAccount(plan, 'migrate'), migrationJob(plan)]],
    ...plan.services.map((service): [string, Manifest[]] => [
      `${service.name}.yaml`,
      serviceManifests(plan, service),
    ]),
  ]);
  if (plan.overlays.has('keda')) {
    files.set(
      'keda.yaml',
      plan.services.flatMap((service) => [
        ...(service.min === 0 ? [triggerAuthentication(plan, service)] : []),
        scaledObject(plan, service),
      ]),
    );
  }
  if (plan.overlays.has('gateway-api')) {
    const { tls } = plan;
    files.set('gateway-api.yaml', [
      gatewayRoute(plan),
      ...(tls === undefined ? [] : [backendTls(plan, tls.serverName)]),
    ]);
  }
  const rendered = [...files].map(([path, objects]) => ({
    path,
    objects,
    text: `${MARK}\n${objects.map(toYaml).join('---\n')}`,
  }));
  return [...rendered, kustomization([...files.keys()]), secretsExample(plan)];
}

function serviceManifests(plan: Plan, service: ServicePlan): Manifest[] {
  const { name } = service;
  return [
    serviceAccount(plan, name),
    deployment(plan, service, configHash(plan)),
    clusterService(plan, name),
    disruptionBudget(plan, name),
    // Two autoscalers on one Deployment would pull at it from both sides.
    ...(plan.overlays.has('keda') ? [] : [autoscaler(plan, service)]),
    servicePolicy(plan, service),
  ];
}

/** What `kubectl apply -k` reads, and what a team's own kustomization builds upon. */
function kustomization(resources: readonly string[]): ManifestFile {
  const object = { apiVersion: 'kustomize.config.k8s.io/v1beta1', kind: 'Kustomization', resources };
  return { path: 'kustomization.yaml', objects: [object], text: `${MARK}\n${toYaml(object)}` };
}

/** Names of the secrets, without values. No YAML, so that nobody applies it. */
function secretsExample(plan: Plan): ManifestFile {
  const names = new Set([
    ...DATABASE_SECRETS,
    ...OBJECT_SECRETS,
    ...plan.services.flatMap(({ secretEnv }) => secretEnv),
  ]);
  const lines = [
    MARK,
    '# Copy it outside of the repository, fill it in, and give it to the cluster:',
    `# kubectl -n ${plan.namespace} create secret generic ${secretName(plan)} --from-env-file=FILE`,
    '# DATABASE_URL: postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full',
    "# OBJECT_URL: s3://BUCKET/PREFIX?region=REGION, with &endpoint=URL for a store that is not Amazon's",
    ...[...names].map((name) => `${name}=`),
  ];
  return { path: 'secrets.env.example', objects: [], text: `${lines.join('\n')}\n` };
}

/** YAML that tools of version 1.1 read alike: `on`, `0o7` and their like stand in quotes. */
function toYaml(object: unknown): string {
  return stringify(object, { version: '1.1', lineWidth: 0, aliasDuplicateObjects: false });
}
