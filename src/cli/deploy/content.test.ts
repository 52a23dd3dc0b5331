import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { packTar, type TarEntry } from 'modern-tar';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openContent, platformFiles } from './content.ts';
import { BUILD_LIMITS } from './limits.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tandem-content-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const file = (name: string, body = 'x'): TarEntry => ({
  header: { name, size: body.length, type: 'file' },
  body,
});

async function tarball(entries: readonly TarEntry[]): Promise<string> {
  const place = join(folder, 'build.tgz');
  await writeFile(place, gzipSync(await packTar([...entries])));
  return place;
}

const paths = async (place: string): Promise<string[]> => (await openContent(place)).map(({ path }) => path);

describe('what is in a build', () => {
  it('comes from a folder without packages and hidden files, by path', async () => {
    const root = join(folder, 'app');
    for (const name of ['src', 'node_modules/a', '.git', '.tandem/objects']) {
      await mkdir(join(root, name), { recursive: true });
    }
    for (const name of ['app.ts', 'src/b.ts', 'src/a.ts', '.env', 'node_modules/a/index.js', '.git/HEAD']) {
      await writeFile(join(root, name), name);
    }
    expect(await paths(root)).toEqual(['app.ts', 'src/a.ts', 'src/b.ts']);
    const [first] = await openContent(root);
    expect(new TextDecoder().decode(await first?.read())).toBe('app.ts');
  });

  it('comes from a tarball, below its one folder, with packages that are bundled', async () => {
    const place = await tarball([
      { header: { name: 'package/', size: 0, type: 'directory' } },
      file('package/package.json', '{}'),
      file('package/node_modules/a/index.js'),
      file(`package/${'long/'.repeat(40)}name.js`),
    ]);
    expect(await paths(place)).toEqual([
      `${'long/'.repeat(40)}name.js`,
      'node_modules/a/index.js',
      'package.json',
    ]);
  });

  it.each([
    ['a path that leaves it', file('package/../../etc/passwd')],
    ['an absolute path', file('/etc/passwd')],
    ['a file beside the folder', file('passwd')],
    ['a backslash', file('package/..\\..\\passwd')],
    ['a link', { header: { name: 'package/a', size: 0, type: 'symlink', linkname: '/etc' } } as TarEntry],
    ['a hard link', { header: { name: 'package/a', size: 0, type: 'link', linkname: 'b' } } as TarEntry],
    ['a path that is too long', file(`package/${'long/'.repeat(BUILD_LIMITS.pathLengthMax / 4)}a`)],
  ])('refuses a tarball with %s', async (_, entry) => {
    const place = await tarball([file('package/package.json', '{}'), entry]);
    await expect(openContent(place)).rejects.toMatchObject({ code: 'UNPROCESSABLE' });
  });

  it('refuses a tarball with a file twice, and what is no tarball', async () => {
    const twice = await tarball([file('package/a'), file('package/a')]);
    await expect(openContent(twice)).rejects.toThrow('a is in it twice');
    const nonsense = join(folder, 'nonsense');
    await writeFile(nonsense, 'nonsense');
    await expect(openContent(nonsense)).rejects.toMatchObject({ code: 'UNPROCESSABLE' });
    await expect(openContent(join(folder, 'missing'))).rejects.toMatchObject({ code: 'CONFIGURATION' });
  });

  it('refuses a folder with a link, one that is empty, and one that is too large', async () => {
    const root = join(folder, 'app');
    await mkdir(root);
    await expect(openContent(root)).rejects.toThrow('it is empty');
    await symlink('/etc', join(root, 'etc'));
    await expect(openContent(root)).rejects.toThrow('links are not followed');
    await rm(join(root, 'etc'));
    // Sparse: it takes no room.
    await writeFile(join(root, 'large'), '');
    await truncate(join(root, 'large'), BUILD_LIMITS.contentBytesMax + 1);
    await expect(openContent(root)).rejects.toThrow('bytes');
  });

  it('of the platform is what runs: its sources, or what they compile to', () => {
    const of = (...given: string[]): string[] =>
      platformFiles(given.map((path) => ({ path, bytes: 0, read: async () => new Uint8Array() }))).map(
        ({ path }) => path,
      );
    expect(of('package.json', 'dist/cli/main.js', 'src/cli/main.ts', 'src/a.test.ts', 'test/b.ts')).toEqual([
      'package.json',
      'src/cli/main.ts',
    ]);
    expect(of('package.json', 'README.md', 'dist/cli/main.js')).toEqual(['package.json', 'dist/cli/main.js']);
  });
});
