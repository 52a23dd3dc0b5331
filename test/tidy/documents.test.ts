import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ERROR_CODES } from '../../src/contract/errors.ts';
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
    for (const service of ['ingest', 'features', 'train', 'registry', 'serve']) {
      const path = join('src/services', service, 'README.md');
      expect(existsSync(join(ROOT, path)), path).toBe(true);
      expect(read(path).split('\n').length, path).toBeLessThan(40);
    }
  });
});
