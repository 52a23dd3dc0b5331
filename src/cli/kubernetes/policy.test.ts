import type { IDeployment } from 'kubernetes-models/apps/v1/Deployment';
import type { IHorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler';
import type { IJob } from 'kubernetes-models/batch/v1/Job';
import type { INetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy';
import type { IPodSpec } from 'kubernetes-models/v1/PodSpec';
import type { IService } from 'kubernetes-models/v1/Service';
import { describe, expect, it } from 'vitest';
import { SCALING_SIGNALS, SERVICE_NAMES, type ServiceName } from '../../contract/index.ts';
import { defineDeployment } from '../../define/index.ts';
import { filesBelow, read } from '../../../test/tidy/tree.ts';
import { readSettings } from '../settings.ts';
import { type Manifest, renderManifests } from './manifests.ts';
import { planOf, type PlanOptions } from './plan.ts';
import { DEPLOYED, TRAITS } from './traits.ts';

const SECRET = 'do-not-write-me';
const options: PlanOptions = {
  app: 'fraud',
  image: 'registry.example/fraud:1.0.0',
  host: 'fraud.example.com',
  parent: 'infrastructure/public',
  deployment: defineDeployment({
    services: {
      serve: {
        replicas: { min: 3, max: 9 },
        env: {
          UPSTREAM_TOKEN: SECRET,
          DB_PASSWORD: SECRET,
          COLOUR: 'blue',
          AWS_ACCESS_KEY_ID: 'open',
          API_KEY: SECRET,
        },
      },
    },
  }),
};
const overlays = [[], ['keda'], ['gateway-api'], ['keda', 'gateway-api']] as const;

const files = (chosen: readonly string[]) => renderManifests(planOf({ ...options, overlays: chosen }));
const objects = (chosen: readonly string[]): Manifest[] => files(chosen).flatMap((file) => file.objects);
const ofKind = <T>(kind: string, chosen: readonly string[] = []): T[] =>
  objects(chosen).filter((object) => object.kind === kind) as unknown as T[];
const part = (object: { metadata?: { labels?: Record<string, string> | undefined } | undefined }) =>
  object.metadata?.labels?.['app.kubernetes.io/component'];
const named = (name: string) => `fraud-${name}`;

function pods(chosen: readonly string[]): { name: string; spec: IPodSpec }[] {
  const owners = [...ofKind<IDeployment>('Deployment', chosen), ...ofKind<IJob>('Job', chosen)];
  return owners.map((owner) => {
    const spec = owner.spec?.template.spec;
    if (spec === undefined) throw new Error(`${String(owner.metadata?.name)} has no pods`);
    return { name: String(part(owner)), spec };
  });
}

describe.each(overlays.map((chosen) => [chosen.join(' and ') || 'nothing more', chosen] as const))(
  'with %s, what a cluster is given',
  (_name, chosen) => {
    it('runs nothing as root, with more rights, or on a writable root', () => {
      expect(pods(chosen)).toHaveLength(DEPLOYED.length + 1);
      for (const { name, spec } of pods(chosen)) {
        expect(spec.securityContext, name).toMatchObject({
          runAsNonRoot: true,
          seccompProfile: { type: 'RuntimeDefault' },
        });
        expect(spec.securityContext?.runAsUser, name).toBeGreaterThan(0);
        expect([spec.hostNetwork, spec.hostPID, spec.hostIPC, spec.hostUsers], name).toEqual(
          Array.from({ length: 4 }, () => undefined),
        );
        expect(spec.automountServiceAccountToken, name).toBe(false);
        expect(spec.serviceAccountName, name).toBe(named(name));
        expect(spec.containers).toHaveLength(1);
        for (const container of spec.containers) {
          expect(container.securityContext, name).toEqual({
            allowPrivilegeEscalation: false,
            capabilities: { drop: ['ALL'] },
            privileged: false,
            readOnlyRootFilesystem: true,
          });
        }
      }
    });

    it('bounds processor, memory and disk of everything', () => {
      for (const { name, spec } of pods(chosen)) {
        for (const { resources } of spec.containers) {
          for (const bounds of [resources?.requests, resources?.limits]) {
            expect(Object.keys(bounds ?? {}).sort(), name).toEqual(['cpu', 'ephemeral-storage', 'memory']);
          }
        }
        for (const volume of spec.volumes ?? []) {
          if (volume.name === 'tls') {
            expect(volume).toEqual({ name: 'tls', secret: { secretName: 'fraud-tls', defaultMode: 0o440 } });
          } else {
            expect(volume.emptyDir?.sizeLimit, `${name} ${volume.name}`).toMatch(/^\d+Mi$/);
            expect(Object.keys(volume).sort()).toEqual(['emptyDir', 'name']);
          }
        }
      }
    });

    it('is asked whether it lives and is ready, and has time to end', () => {
      for (const { metadata, spec } of ofKind<IDeployment>('Deployment', chosen)) {
        const pod = spec?.template.spec;
        const [container] = pod?.containers ?? [];
        expect(container?.startupProbe?.httpGet?.path, metadata?.name).toBe('/livez');
        expect(container?.livenessProbe?.httpGet?.path, metadata?.name).toBe('/livez');
        expect(container?.readinessProbe?.httpGet?.path, metadata?.name).toBe('/readyz');
        const config = ofKind<{ data: Record<string, string> }>('ConfigMap', chosen)[0]?.data ?? {};
        const seconds =
          Number(container?.lifecycle?.preStop?.sleep?.seconds) + Number(config['TANDEM_GRACE_MS']) / 1_000;
        expect(pod?.terminationGracePeriodSeconds).toBeGreaterThan(seconds);
      }
    });

    it('speaks TLS among its pods', () => {
      const config = ofKind<{ data: Record<string, string> }>('ConfigMap', chosen)[0]?.data ?? {};
      expect(config).toMatchObject({
        TANDEM_TLS_CERT_FILE: '/etc/tandem/tls/tls.crt',
        TANDEM_TLS_SERVER_NAME: 'fraud-gateway.fraud.svc',
      });
      expect(config).not.toHaveProperty('TANDEM_HTTP_INSECURE_HTTP');
      for (const { name, spec } of pods(chosen).filter((pod) => pod.name !== 'migrate')) {
        const [container] = spec.containers;
        const mount = { name: 'tls', mountPath: '/etc/tandem/tls', readOnly: true };
        expect(container?.volumeMounts, name).toContainEqual(mount);
        for (const probe of [container?.startupProbe, container?.readinessProbe, container?.livenessProbe]) {
          expect(probe?.httpGet?.scheme, name).toBe('HTTPS');
        }
      }
    });

    it('opens nothing to the outside by itself', () => {
      const services = ofKind<IService>('Service', chosen);
      expect(services).toHaveLength(DEPLOYED.length);
      for (const { spec } of services) {
        expect(spec?.type).toBe('ClusterIP');
        expect([spec?.externalIPs, spec?.loadBalancerIP, spec?.ports?.[0]?.nodePort]).toEqual(
          Array.from({ length: 3 }, () => undefined),
        );
      }
    });

    it('holds no secret, and no right in the cluster', () => {
      expect(objects(chosen).map(({ kind }) => kind)).not.toEqual(
        expect.arrayContaining([
          expect.stringMatching(/^(Secret|Role|ClusterRole|RoleBinding|ClusterRoleBinding)$/),
        ]),
      );
      for (const { path, text } of files(chosen)) {
        expect(text, path).not.toContain(SECRET);
        expect(text, path).not.toMatch(/postgres(ql)?:\/\/(?!USER:PASSWORD@)/);
      }
      const serve = pods(chosen).find(({ name }) => name === 'serve')?.spec.containers[0]?.env ?? [];
      expect(serve).toContainEqual({ name: 'COLOUR', value: 'blue' });
      for (const name of [
        'DATABASE_URL',
        'OBJECT_URL',
        'AWS_SECRET_ACCESS_KEY',
        'UPSTREAM_TOKEN',
        'DB_PASSWORD',
        'API_KEY',
      ]) {
        const valueFrom = { secretKeyRef: { name: 'fraud-secrets', key: name } };
        expect(serve).toContainEqual({ name, valueFrom });
        expect(files(chosen).find(({ path }) => path === 'secrets.env.example')?.text).toMatch(
          new RegExp(`^${name}=$`, 'm'),
        );
      }
    });

    it('gives every Deployment an account, a Service, a disruption budget, one autoscaler and a network policy', () => {
      const kinds = ['ServiceAccount', 'Service', 'PodDisruptionBudget', 'NetworkPolicy'];
      for (const name of DEPLOYED) {
        const present = objects(chosen).filter(({ metadata }) => metadata?.name === named(name));
        const scalers = present.filter(({ kind }) => /^(HorizontalPodAutoscaler|ScaledObject)$/.test(kind));
        expect(scalers, name).toHaveLength(1);
        expect(
          present.map(({ kind }) => kind),
          name,
        ).toEqual(expect.arrayContaining(kinds));
      }
    });
  },
);

describe('the network', () => {
  const policies = ofKind<INetworkPolicy>('NetworkPolicy');
  const common = { 'app.kubernetes.io/part-of': 'fraud' };

  it('lets nothing through that no policy names', () => {
    const deny = policies.find(({ metadata }) => metadata?.name === 'fraud-network-deny-all');
    expect(deny?.spec).toEqual({ podSelector: {}, policyTypes: ['Ingress', 'Egress'] });
  });

  /** Services that the policies let one reach, seen from one side. */
  const allowed = (side: 'from' | 'to', name: string): string[] => {
    const spec = policies.find(({ metadata }) => metadata?.name === named(name))?.spec;
    const rules =
      side === 'from' ? spec?.ingress?.map((rule) => rule.from) : spec?.egress?.map((rule) => rule.to);
    return (rules ?? [])
      .flatMap((peers) => peers ?? [])
      .flatMap(({ podSelector }) => podSelector?.matchLabels?.['app.kubernetes.io/component'] ?? [])
      .sort();
  };

  it('lets through exactly the calls that the services make', () => {
    for (const name of DEPLOYED) {
      expect(allowed('to', name), name).toEqual([...TRAITS[name].calls].sort());
      const callers = DEPLOYED.filter((other) => TRAITS[other].calls.includes(name));
      expect(allowed('from', name), name).toEqual([...callers].sort());
    }
    expect(allowed('to', 'serve')).toEqual(['features', 'ingest', 'registry']);
    expect(allowed('to', 'train')).toEqual(['features', 'registry']);
    expect(allowed('from', 'train')).toEqual(['gateway']);
  });

  it('knows every call in the code of the services', () => {
    const owner = new Map(
      filesBelow('src/contract/routes').flatMap((path) =>
        [...read(path).matchAll(/\broute\(\s*'(\w+)',\s*'(\w+)'/g)].map((match) => [match[2], match[1]]),
      ),
    );
    const calls = SERVICE_NAMES.flatMap((service) =>
      filesBelow(`src/services/${service}`)
        .filter((path) => path.endsWith('.ts') && !/\.test\.ts$|test-host\.ts$/.test(path))
        .flatMap((path) => [...read(path).matchAll(/\bcall\(\s*routes\.(\w+)/g)])
        .map((match) => ({ service, called: owner.get(match[1]) as ServiceName | undefined })),
    );
    expect(calls.length).toBeGreaterThan(5);
    for (const { service, called } of calls) expect(TRAITS[service].calls).toContain(called);
  });

  it('reaches names, PostgreSQL and objects from every pod, and nothing else of the world', () => {
    const stores = policies.find(({ metadata }) => metadata?.name === 'fraud-network-stores')?.spec;
    expect(stores?.podSelector?.matchLabels).toMatchObject(common);
    const ports = (stores?.egress ?? []).map(({ ports: list }) => (list ?? []).map(({ port }) => port));
    expect(ports).toEqual([[53, 53], [5_432], [443]]);
  });
});

describe('scaling', () => {
  it('asks for each service the signals of the table, with their targets', () => {
    for (const { metadata, spec } of ofKind<IHorizontalPodAutoscaler>('HorizontalPodAutoscaler')) {
      const name = String(metadata?.labels?.['app.kubernetes.io/component']) as ServiceName;
      const asked = (spec?.metrics ?? []).map(({ pods: own, external }) => ({
        signal: (own ?? external)?.metric.selector?.matchLabels?.['signal'],
        target: Number((own ?? external)?.target.averageValue),
        of: own === undefined ? 'service' : 'process',
      }));
      expect(asked, name).toEqual(
        SCALING_SIGNALS[name].map((signal) => ({
          signal: signal.name,
          target: signal.target,
          of: signal.of,
        })),
      );
      expect(spec?.minReplicas).toBeGreaterThan(0);
      expect(spec?.maxReplicas).toBeGreaterThanOrEqual(spec?.minReplicas ?? 0);
    }
    const [serve] = ofKind<IHorizontalPodAutoscaler>('HorizontalPodAutoscaler').filter(
      (object) => part(object) === 'serve',
    );
    expect(serve?.spec?.minReplicas).toBe(3);
  });

  it('goes down to none only for train, and only with KEDA', () => {
    const none = { replicas: { min: 0, max: 2 } };
    const deployment = defineDeployment({
      services: { train: { replicas: { min: 0, max: 3 } }, registry: none },
    });
    const least = (chosen: readonly string[]) =>
      Object.fromEntries(
        planOf({ ...options, deployment, overlays: chosen }).services.map(({ name, min }) => [name, min]),
      );
    expect(least([])).toMatchObject({ train: 1, registry: 1 });
    expect(least(['keda'])).toMatchObject({ train: 0, registry: 1 });
    expect(planOf({ ...options, deployment }).warnings.join()).toContain('registry has one pod at least');
  });

  it('takes numbers, cores and memory from the deployment, and leaves what is as usual to the cluster', () => {
    const deployment = defineDeployment({ services: { serve: { replicas: 5, cpu: 0.75, memory: 700 } } });
    const plan = planOf({ ...options, deployment });
    const of = (name: ServiceName) => plan.services.find((service) => service.name === name);
    expect(of('serve')).toMatchObject({ min: 5, max: 5, cpuMilli: 750, memoryMi: 700 });
    expect(of('ingest')).toMatchObject({ ...TRAITS.ingest.replicas, memoryMi: TRAITS.ingest.memory });
  });
});

describe('the environment of a pod', () => {
  it('is one that a process of it starts with, whatever the cluster fills in', () => {
    const config = ofKind<{ data: Record<string, string> }>('ConfigMap')[0]?.data ?? {};
    for (const { name, spec } of pods([])) {
      // The variables that a cluster makes of Services would be unknown options.
      expect(spec.enableServiceLinks, name).toBe(false);
      const names = (spec.containers[0]?.env ?? []).map((variable) => variable.name);
      expect(names, name).toEqual([...new Set(names)]);
      const environment: Record<string, string> = { ...config };
      for (const { name: key, value, valueFrom } of spec.containers[0]?.env ?? []) {
        environment[key] = expand(
          value ?? (valueFrom?.fieldRef === undefined ? 'secret' : '10.1.2.3'),
          environment,
        );
      }
      const settings = readSettings({}, environment);
      expect(settings.entries.find(({ option }) => option === 'dataDir')?.value).toBe('/var/lib/tandem');
      if (name === 'migrate') continue;
      expect(settings.entries.find(({ option }) => option === 'host')?.value).toBe('10.1.2.3');
      expect(settings.entries.find(({ option }) => option === 'hostNames')?.value).toEqual(
        expect.arrayContaining(['10.1.2.3', named(name), `${named(name)}.fraud.svc.cluster.local`]),
      );
    }
  });

  it('means what the team wrote, even where a cluster would replace it', () => {
    const deployment = defineDeployment({ services: { serve: { env: { TEXT: 'a $(TANDEM_PORT) b' } } } });
    const serve = renderManifests(planOf({ ...options, deployment }))
      .flatMap((file) => file.objects)
      .find(({ kind, metadata }) => kind === 'Deployment' && metadata?.name === 'fraud-serve') as IDeployment;
    const text = serve.spec?.template.spec?.containers[0]?.env?.find(({ name }) => name === 'TEXT');
    expect(text?.value).toBe('a $$(TANDEM_PORT) b');
    expect(expand(String(text?.value), { TANDEM_PORT: '1' })).toBe('a $(TANDEM_PORT) b');
  });
});

/** What a cluster does with a value: `$(NAME)` of an earlier variable is replaced, `$$` is a dollar. */
function expand(value: string, environment: Readonly<Record<string, string>>): string {
  return value.replaceAll(/\$\$|\$\((\w+)\)/g, (all, name: string | undefined) =>
    name === undefined ? '$' : (environment[name] ?? all),
  );
}
