import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { directoryObjects } from '../../src/adapters/objects/index.ts';
import { rejectionCode } from './expectations.ts';
import { objectsConformance } from './objects.ts';

interface Root extends AsyncDisposable {
  readonly path: string;
}

async function makeRoot(): Promise<Root> {
  const path = await mkdtemp(join(tmpdir(), 'tandem-directory-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

objectsConformance('directory', async () => {
  const root = await makeRoot();
  return {
    objects: directoryObjects(join(root.path, 'objects')),
    close: async () => root[Symbol.asyncDispose](),
  };
});

describe('directory of objects', () => {
  it('finds damage when bytes are read, and heals when they are put again', async () => {
    await using root = await makeRoot();
    const bytes = Buffer.from('precious');
    const { digest } = await directoryObjects(root.path).put(bytes);
    const path = await directoryObjects(root.path).path(digest);
    await chmod(path, 0o644);
    await writeFile(path, 'precioux');
    const objects = directoryObjects(root.path);
    expect(await rejectionCode(objects.get(digest))).toBe('INTERNAL');
    expect(await rejectionCode(objects.path(digest))).toBe('INTERNAL');
    await objects.put(bytes);
    expect(await objects.get(digest)).toEqual(bytes);
  });

  it('removes what crashed writers left, and nothing of living ones', async () => {
    await using root = await makeRoot();
    await mkdir(join(root.path, 'tmp'));
    const name = (host: string, pid: number): string => `${host}.${pid}.0123456789abcdef`;
    const living = [
      name(hostname(), process.pid),
      name(hostname(), process.ppid),
      name('another-host', 4_194_303),
    ];
    for (const file of [...living, name(hostname(), 4_194_303)])
      await writeFile(join(root.path, 'tmp', file), 'half');
    await directoryObjects(root.path).put(Buffer.from('x'));
    expect((await readdir(join(root.path, 'tmp'))).sort()).toEqual([...living].sort());
  });

  const isRoot = process.getuid?.() === 0;
  if (isRoot) console.warn('skipped: a folder that cannot be written; root can write every folder');
  it.skipIf(isRoot)('says so when the folder cannot be written', async () => {
    await using root = await makeRoot();
    await chmod(root.path, 0o555);
    expect(await rejectionCode(directoryObjects(root.path).put(Buffer.from('x')))).toBe('CONFIGURATION');
    await chmod(root.path, 0o755);
  });
});
