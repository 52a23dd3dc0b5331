import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ERROR_CODES } from '../../src/contract/errors.ts';
import { routes } from '../../src/contract/index.ts';
import { OPERATIONAL_ROUTES } from '../../src/runtime/http/openapi.ts';
import * as define from '../../src/define/index.ts';
import type { App } from '../../src/define/index.ts';
import { filesBelow, read, ROOT } from './tree.ts';

const documents = filesBelow('.').filter((path) => path.endsWith('.md'));

describe('documents', () => {
  it('every relative link leads to a file', () => {
    const broken = documents.flatMap((path) =>
      [...read(path).matchAll(/\]\((?!https?:|#)([^)#\s]+)(#[^)]*)?\)/g)]
        .map((match) => match[1] ?? '')
        .filter((target) => !existsSync(resolve(ROOT, dirname(path), target)))
        .map((target) => `${path}: ${target}`),
    );
    expect(documents.length).toBeGreaterThan(10);
    expect(broken).toEqual([]);
  });

  it('the page of errors lists exactly the table of codes', () => {
    const page = read('docs/reference/errors.md');
    const rows = [...page.matchAll(/^\| `([A-Z_]+)` \| (\d+) \| (yes|no) \| (.+) \|$/gm)].map((match) => ({
      code: match[1],
      status: Number(match[2]),
      retryable: match[3] === 'yes',
      text: match[4],
    }));
    const table = Object.entries(ERROR_CODES).map(([code, entry]) => ({ code, ...entry }));
    expect(rows).toEqual(table);
  });

  it('the page of access lists exactly the routes and who may call them', () => {
    const page = read('docs/reference/access.md');
    const rows = [...page.matchAll(/^\| `([A-Z]+ \/[^`]*)` \| (.+) \|$/gm)].map((match) => [
      match[1],
      match[2],
    ]);
    const operations = OPERATIONAL_ROUTES.map(({ path, roles }) => [
      `GET ${path}`,
      roles === undefined ? 'anybody, without credentials' : roles.join(', '),
    ]);
    const table = Object.values(routes).map(({ method, path, roles }) => [
      `${method} ${path}`,
      roles.filter((role) => role !== 'admin').join(', ') || '-',
    ]);
    expect(rows).toEqual([...operations, ...table]);
  });

  it('the page of dependencies names every dependency and no other', () => {
    const manifest = JSON.parse(read('package.json')) as Record<string, Record<string, string> | undefined>;
    const names = ['dependencies', 'optionalDependencies', 'devDependencies', 'peerDependencies'].flatMap(
      (kind) => Object.keys(manifest[kind] ?? {}),
    );
    const page = read('docs/reference/dependencies.md');
    const listed = [...page.matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1] ?? '');
    expect([...listed].sort()).toEqual([...new Set(names)].sort());
  });

  it('every service has a short README', () => {
    for (const service of ['ingest', 'features', 'train', 'registry', 'serve', 'gateway']) {
      const path = join('src/services', service, 'README.md');
      expect(existsSync(join(ROOT, path)), path).toBe(true);
      expect(read(path).split('\n').length, path).toBeLessThan(40);
    }
  });

  it('the group of the page of features is a group', async () => {
    const code = /```ts\n([\s\S]*?)```/.exec(read('docs/concepts/features.md'))?.[1] ?? '';
    const names = [...new Set([...code.matchAll(/\b([a-zA-Z]+)\(/g)].map((match) => match[1] ?? ''))];
    const folder = join(ROOT, '.tandem', `features-${String(process.pid)}`);
    mkdirSync(folder, { recursive: true });
    try {
      const fields = `paymentId: t.id(), at: t.timestamp(), cardId: t.key(), shopId: t.key(), amount: t.money('EUR'),
        approved: t.boolean(), score: t.number(), embedding: t.embedding(4)`;
      const prelude = `import * as t from 'tandem';
        const { ${names.filter((name) => name in define).join(', ')} } = t;
        const payments = t.source('payments', { id: 'paymentId', time: 'at', key: 'cardId', fields: { ${fields} } });`;
      writeFileSync(join(folder, 'group.ts'), `${prelude}\n${code}\nexport default card;`);
      const module = (await import(join(folder, 'group.ts'))) as { default: define.FeatureGroup };
      expect(module.default.features.map((feature) => feature.name)).toContain('recent_7d_3');
      expect(module.default.features).toHaveLength(28);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('the vector and the label of their page are ones', async () => {
    const code = /```ts\n([\s\S]*?)```/.exec(read('docs/build/vectors-and-labels.md'))?.[1] ?? '';
    const folder = join(ROOT, '.tandem', `vectors-${String(process.pid)}`);
    mkdirSync(folder, { recursive: true });
    try {
      const prelude = `import * as t from 'tandem';
        const { category, vector, label } = t;
        const clinicOf = (f) => ({ n: t.count().over('7d') });
        const cases = t.source('cases', { id: 'caseId', time: 'at', key: 'clinicId', fields: {
          caseId: t.id(), at: t.timestamp(), clinicId: t.key(), age: t.integer(), sex: t.text() } });
        const findings = t.source('findings', { id: 'findingId', time: 'at', key: 'caseId', fields: {
          findingId: t.id(), at: t.timestamp(), caseId: t.key(), finding: t.text() } });
        const clinic = t.features('clinic', { from: cases, key: 'clinicId' }, clinicOf);`;
      writeFileSync(join(folder, 'vector.ts'), `${prelude}\n${code}\nexport { patient, malignant };`);
      const module = (await import(join(folder, 'vector.ts'))) as {
        patient: define.Vector;
        malignant: define.LabelDefinition;
      };
      expect(module.patient.values.map(({ name, categories }) => [name, categories])).toEqual([
        ['age', undefined],
        ['sex', ['F', 'M']],
        ['clinic_n_7d', undefined],
      ]);
      expect(module.malignant).toMatchObject({ confirmed: true, maturesAfterMs: 3 * 86_400_000 });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('the app of the start page is an app', async () => {
    const code = /```ts\n([\s\S]*?)```/.exec(read('docs/start/README.md'))?.[1] ?? '';
    // In a folder that git ignores, inside the tree, so that the package is found by its name.
    const folder = join(ROOT, '.tandem', `documents-${String(process.pid)}`);
    mkdirSync(folder, { recursive: true });
    try {
      writeFileSync(join(folder, 'app.ts'), code);
      const module = (await import(join(folder, 'app.ts'))) as { default: App };
      expect([...module.default.decisions.keys()]).toEqual(['check']);
      expect(module.default.vectors.get('basket')?.values.map((value) => value.name)).toEqual([
        'total',
        'customer_orders_1d',
        'customer_orders_30d',
        'customer_spend_30d',
      ]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
