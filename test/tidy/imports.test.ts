import { describe, expect, it } from 'vitest';
import { filesBelow, importsOf, read } from './tree.ts';

/** Who may import whom: a layer's folder, the folders it may import from, and the npm packages it may use. */
const LAYERS: readonly { folder: string; from: readonly string[]; packages: readonly string[] }[] = [
  { folder: 'src/define', from: ['src/define'], packages: ['node:crypto'] },
  { folder: 'src/ml', from: ['src/ml'], packages: [] },
  { folder: 'src/contract', from: ['src/contract', 'src/define'], packages: ['zod'] },
  {
    folder: 'src/runtime',
    from: ['src/runtime', 'src/contract', 'src/define'],
    packages: ['fastify', 'jose', 'pino', 'prom-client', 'undici', 'zod'],
  },
  {
    folder: 'src/services',
    from: ['src/contract', 'src/define', 'src/ml', 'src/runtime'],
    packages: ['zod', 'fast-check', 'node:path', 'node:crypto', 'node:buffer'],
  },
  { folder: 'src/adapters/postgres', from: ['src/contract', 'src/runtime'], packages: ['pg', 'pg-boss'] },
  {
    folder: 'src/adapters/objects',
    from: ['src/contract', 'src/runtime'],
    packages: ['aws4fetch', 'undici'],
  },
  {
    folder: 'src/adapters/duckdb',
    from: ['src/contract', 'src/runtime'],
    packages: ['@duckdb/node-api', '@duckdb/node-bindings'],
  },
  {
    folder: 'src/adapters/otlp',
    from: ['src/contract', 'src/runtime'],
    packages: ['@opentelemetry/api', '@opentelemetry/exporter-trace-otlp-http', '@opentelemetry/resources'],
  },
  { folder: 'src/adapters/threads', from: ['src/contract', 'src/runtime'], packages: [] },
  { folder: 'src/adapters/process', from: ['src/contract', 'src/runtime'], packages: [] },
  { folder: 'src/adapters/system', from: ['src/contract', 'src/runtime'], packages: [] },
];

/** Layers that reach the world only through ports. */
const PURE = ['src/define', 'src/ml', 'src/contract', 'src/services'];
const WORLD =
  /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bsetTimeout\b|\bsetInterval\b|\bfetch\(|['"]node:(fs|net|http|https|dgram|tls|child_process|worker_threads|timers)[^'"]*['"]/;

const sources = filesBelow('src').filter(
  (path) => path.endsWith('.ts') && !/\.test\.ts$|test-host\.ts$/.test(path),
);

describe('who imports whom', () => {
  it('looks at the whole tree', () => {
    expect(sources.length).toBeGreaterThan(60);
  });

  it('every import of a layer is one the table allows', () => {
    const wrong: string[] = [];
    for (const path of sources) {
      const layer = LAYERS.find((item) => path.startsWith(`${item.folder}/`));
      if (layer === undefined) {
        if (path !== 'src/index.ts' && !path.startsWith('src/cli/')) wrong.push(`${path} is in no layer`);
        continue;
      }
      // A service or an adapter may import from itself, never from a sibling.
      const own = layer.folder === 'src/services' ? path.split('/').slice(0, 3).join('/') : layer.folder;
      for (const imported of importsOf(path)) {
        const ours = imported.startsWith('src/');
        const runtime = imported.startsWith('node:') && !layer.folder.match(/define|ml|services|contract/);
        const allowed = ours
          ? [own, ...layer.from].some((folder) => imported.startsWith(`${folder}/`))
          : runtime || layer.packages.some((name) => imported === name || imported.startsWith(`${name}/`));
        if (!allowed) wrong.push(`${path} imports ${imported}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('pure layers reach clock, chance, network and disk only through ports', () => {
    const wrong = sources
      .filter((path) => PURE.some((folder) => path.startsWith(`${folder}/`)))
      .flatMap((path) =>
        read(path)
          .split('\n')
          .flatMap((line, index) =>
            WORLD.test(line) ? [`${path}:${String(index + 1)}: ${line.trim()}`] : [],
          ),
      );
    expect(wrong).toEqual([]);
  });

  it('there is no import cycle', () => {
    const graph = new Map(
      sources.map((path) => [path, importsOf(path).filter((item) => item.startsWith('src/'))]),
    );
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (path: string, trail: readonly string[]): void => {
      if (trail.includes(path)) {
        cycles.push([...trail.slice(trail.indexOf(path)), path].join(' -> '));
        return;
      }
      if (done.has(path)) return;
      for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
      done.add(path);
    };
    for (const path of sources) visit(path, []);
    expect(cycles).toEqual([]);
  });

  it('examples use only the package by its name', () => {
    const examples = filesBelow('examples').filter((path) => path.endsWith('.ts'));
    const wrong = examples.flatMap((path) =>
      importsOf(path)
        .filter((item) => item.startsWith('src/') || item.startsWith('bench/') || item.startsWith('test/'))
        .map((item) => `${path} imports ${item}`),
    );
    expect(examples.length).toBeGreaterThan(0);
    expect(wrong).toEqual([]);
  });
});
