import { basename } from 'node:path';
import type { IContainer } from 'kubernetes-models/v1/Container';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { filesBelow } from '../../../test/tidy/tree.ts';
import { defineDeployment } from '../../define/index.ts';
import { type Manifest, type ManifestFile, renderManifests } from './manifests.ts';
import { planOf, type PlanOptions } from './plan.ts';
import { mistakesOf } from './test-schemas.ts';

const IMAGE = `registry.example/team/fraud@sha256:${'0123456789abcdef'.repeat(4)}`;
const plain: PlanOptions = { app: 'fraud', image: IMAGE };
const everything: PlanOptions = {
  app: 'cardFraud_v2',
  namespace: 'payments',
  image: 'registry.example:5000/team/fraud:1.4.2',
  overlays: ['keda', 'gateway-api'],
  host: 'fraud.example.com',
  parent: 'infrastructure/public',
  insecureHttp: true,
  prometheus: 'https://prometheus.example:9090',
  databasePort: '6432',
  objectsPort: '9000',
  egressPorts: ['443', '4318'],
  databaseConnections: '500',
  deployment: defineDeployment({
    services: {
      serve: {
        replicas: { min: 3, max: 12 },
        cpu: 1.5,
        memory: 1_500,
        env: { NODE_OPTIONS: '--max-old-space-size=768', YES: 'on', PRICE: '$(HOME)', API_TOKEN: 'hush' },
      },
      train: { replicas: { min: 0, max: 3 } },
    },
  }),
};

const withTls: PlanOptions = { ...everything, insecureHttp: false, tlsSecret: 'pods' };

const render = (options: PlanOptions): ManifestFile[] => renderManifests(planOf(options));
const objectsOf = (options: PlanOptions): Manifest[] =>
  render(options)
    .flatMap(({ objects }) => objects)
    .filter(({ kind }) => kind !== 'Kustomization');

/** A copy in which no two places share an object. */
const copyOf = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

/** Where every object in a value stands, itself included. */
function* places(value: unknown, keys: readonly string[] = []): Generator<readonly string[]> {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) yield keys;
  for (const [key, child] of Object.entries(value)) yield* places(child, [...keys, key]);
}

/** The object at a place. */
function at(value: unknown, keys: readonly string[]): Record<string, unknown> {
  return keys.reduce<unknown>((node, key) => (node as Record<string, unknown>)[key], value) as Record<
    string,
    unknown
  >;
}

/** What may have keys of any name: kind and path. */
const MAP =
  /\/(labels|annotations|matchLabels|requests|limits)$|^ConfigMap\/data$|^Service\/spec\/selector$|^ScaledObject.*\/triggers\/\d+\/metadata$/;

describe('rendered manifests', () => {
  it.each([
    ['plain', plain],
    ['everything', everything],
  ])('%s: are as they were', async (name, options) => {
    const files = render(options);
    const kept = filesBelow(`src/cli/kubernetes/fixtures/${name}`).map((path) => basename(path));
    expect(kept).toEqual(files.map(({ path }) => path).sort());
    for (const { path, text } of files) {
      await expect(text).toMatchFileSnapshot(`fixtures/${name}/${path}`);
    }
  });

  it.each([
    ['plain', plain],
    ['everything', everything],
    ['with TLS', withTls],
  ])('%s: every object is valid, without an unknown field', (_name, options) => {
    const objects = objectsOf(options);
    expect(objects.length).toBeGreaterThan(30);
    for (const object of objects) {
      expect(mistakesOf(object), `${object.kind} ${String(object.metadata?.name)}`).toEqual([]);
    }
  });

  it('an unknown field is refused wherever it stands', () => {
    let planted = 0;
    for (const object of [...objectsOf(plain), ...objectsOf(everything), ...objectsOf(withTls)]) {
      for (const keys of places(object)) {
        const path = ['', ...keys].join('/');
        if (MAP.test(object.kind + path)) continue;
        const copy = copyOf(object);
        at(copy, keys)['imag'] = 'x';
        expect(mistakesOf(copy), `${object.kind}${path}`).toEqual([`${path}/imag: unknown field`]);
        planted += 1;
      }
    }
    expect(planted).toBeGreaterThan(1_000);
  });

  it('a value of a wrong type is refused wherever it stands', () => {
    let planted = 0;
    for (const object of [...objectsOf(plain), ...objectsOf(everything), ...objectsOf(withTls)]) {
      for (const keys of places(object)) {
        for (const [key, value] of Object.entries(at(object, keys))) {
          if (typeof value === 'object') continue;
          const copy = copyOf(object);
          at(copy, keys)[key] = { wrong: true };
          expect(mistakesOf(copy), [object.kind, ...keys, key].join('/')).not.toEqual([]);
          planted += 1;
        }
      }
    }
    expect(planted).toBeGreaterThan(1_000);
  });

  it('an unknown field does not even compile', () => {
    // @ts-expect-error: `imag` is not a field of a container.
    const container: IContainer = { name: 'serve', imag: 'fraud:1' };
    expect(Object.keys(container)).toContain('imag');
  });

  it('a missing field, a quantity and a number out of range are refused', () => {
    const change = (kind: string, edit: (object: never) => void): string[] => {
      const copy = copyOf(objectsOf(everything).find((object) => object.kind === kind));
      edit(copy as never);
      return mistakesOf(copy);
    };
    type Pod = {
      spec: {
        template: {
          spec: { containers: { name?: string; resources: { limits: Record<string, string> } }[] };
        };
      };
    };
    expect(
      change('Deployment', (object: Pod) => delete object.spec.template.spec.containers[0]?.name),
    ).not.toEqual([]);
    expect(
      change('Deployment', (object: Pod) =>
        Object.assign(object.spec.template.spec.containers[0]?.resources.limits ?? {}, { cpu: 'two cores' }),
      ),
    ).not.toEqual([]);
    type Route = { spec: { rules: { backendRefs: { port: number; weight?: number }[] }[] } };
    expect(
      change('HTTPRoute', (object: Route) =>
        Object.assign(object.spec.rules[0]?.backendRefs[0] ?? {}, { weight: -1 }),
      ),
    ).not.toEqual([]);
  });

  it('YAML gives back the objects, to readers of version 1.1 and of 1.2', () => {
    for (const { text, objects } of render(everything)) {
      for (const version of ['1.1', '1.2'] as const) {
        const read = objects.length === 0 ? [] : parseAllDocuments(text, { version });
        expect(read.map((document) => document.toJS() as unknown)).toEqual(objects);
      }
    }
  });

  it('the list of resources names every file of objects', () => {
    for (const options of [plain, everything]) {
      const files = render(options);
      const list = files.find(({ path }) => path === 'kustomization.yaml')?.objects[0];
      const listed = (list as unknown as { resources: string[] }).resources;
      const yaml = files.map(({ path }) => path).filter((path) => /\.ya?ml$/.test(path));
      expect([...listed, 'kustomization.yaml'].sort()).toEqual(yaml.sort());
    }
  });
});
