import { appendFile, mkdir, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { composeBuild, hexOf } from './build.ts';
import { BuildStore, buildsFolder } from './build-store.ts';
import { Deployed } from './deployed.ts';
import { BUILD_LIMITS } from './limits.ts';

let folder: string;
let store: BuildStore;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tandem-builds-'));
  store = new BuildStore(folder);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function makeApp(name: string, text: string): Promise<string> {
  const place = join(folder, name);
  await mkdir(place, { recursive: true });
  await writeFile(join(place, 'app.ts'), text);
  await writeFile(join(place, 'package.json'), '{"name":"shop","version":"1.2.0"}');
  return place;
}

const INSTALLED = { id: '0.1.0', label: '0.1.0', main: '/main.ts', app: '/app.ts', parts: [] };

describe('stored builds', () => {
  it('are copies by what is in them', async () => {
    const place = await makeApp('app', 'export default 1;');
    const stored = await store.take(place);
    expect(stored).toMatchObject({ label: '1.2.0', main: null, files: 2 });
    await appendFile(join(place, 'app.ts'), '// edited');
    expect(await readFile(stored.app ?? '', 'utf8')).toBe('export default 1;');
    const other = await store.take(place);
    expect(other.digest).not.toBe(stored.digest);
    expect((await store.take(await makeApp('same', 'export default 1;'))).digest).toBe(stored.digest);
    expect(await store.find(stored.digest)).toEqual(stored);
    expect(await store.find(`sha256:${'0'.repeat(64)}`)).toBeUndefined();
  });

  it('need packages that are there, and tell when these have changed', async () => {
    const place = await makeApp('app', '');
    const packages = join(place, 'node_modules');
    await mkdir(join(packages, 'left'), { recursive: true });
    await writeFile(join(packages, 'left', 'package.json'), '{"version":"1.0.0"}');
    const manifest = (version: string): Promise<void> =>
      writeFile(join(place, 'package.json'), `{"name":"shop","dependencies":{"left":"${version}"}}`);
    await manifest('2.0.0');
    await expect(store.take(place)).rejects.toThrow(`needs left 2.0.0, but ${packages} has 1.0.0`);
    await manifest('1.0.0');
    const { digest } = await store.take(place);
    await store.assertUnchanged([digest]);
    await writeFile(join(packages, '.package-lock.json'), '{}');
    await expect(store.assertUnchanged([digest])).rejects.toMatchObject({ code: 'CONFLICT' });
    expect((await store.take(place)).digest).not.toBe(digest);
  });

  it('are neither platform nor app elsewhere', async () => {
    const place = join(folder, 'other');
    await mkdir(place);
    await writeFile(join(place, 'index.js'), '');
    await expect(store.take(place)).rejects.toThrow('expected the package');
    await writeFile(join(place, 'package.json'), '{"name":"tandem"}');
    await expect(store.take(place)).rejects.toThrow('build it first');
    await writeFile(join(place, 'package.json'), '{');
    await expect(store.take(place)).rejects.toThrow('not JSON');
  });

  it('go when nothing runs them, but for the newest ones', async () => {
    const digests: string[] = [];
    for (let index = 0; index < BUILD_LIMITS.keptMax + 3; index += 1) {
      const { digest } = await store.take(
        await makeApp(`app${String(index)}`, `export default ${String(index)};`),
      );
      await utimes(join(buildsFolder(folder), hexOf(digest)), index, index);
      digests.push(digest);
    }
    await store.prune(new Set(digests.slice(0, 1)));
    const found = await Promise.all(digests.map(async (digest) => (await store.find(digest)) !== undefined));
    // The first is used; of the others the two oldest are gone.
    expect(found).toEqual([true, false, false, ...Array.from({ length: BUILD_LIMITS.keptMax }, () => true)]);
  });
});

describe('what a service runs', () => {
  it('changes its platform, its app or both, and has a name of its own each time', () => {
    const platform = {
      digest: `sha256:${'1'.repeat(64)}`,
      label: '2',
      main: `/b/${'1'.repeat(64)}/m.js`,
      app: null,
    };
    const app = {
      digest: `sha256:${'2'.repeat(64)}`,
      label: '3',
      main: null,
      app: `/b/${'2'.repeat(64)}/app.ts`,
    };
    const first = composeBuild(INSTALLED, platform);
    expect(first).toMatchObject({
      main: platform.main,
      app: '/app.ts',
      parts: [platform.digest],
      label: '2',
    });
    const both = composeBuild(first, app);
    expect(both).toMatchObject({ main: platform.main, app: app.app, parts: [platform.digest, app.digest] });
    expect(composeBuild(INSTALLED, app)).toMatchObject({
      main: '/main.ts',
      app: app.app,
      parts: [app.digest],
    });
    expect(new Set([first.id, both.id, composeBuild(INSTALLED, app).id]).size).toBe(3);
    expect(composeBuild(INSTALLED, platform)).toEqual(first);
  });

  it('is read again by the next supervisor, until it is forgotten', async () => {
    const stored = await store.take(await makeApp('app', ''));
    const app = join(folder, 'app', 'app.ts');
    const deployed = await Deployed.load(folder, app, false);
    const installed = deployed.wanted('serve');
    expect(installed).toMatchObject({ app, parts: [] });
    const build = composeBuild(installed, stored);
    await deployed.set('serve', { build, previous: installed });
    const next = await Deployed.load(folder, app, false);
    expect(next.wanted('serve')).toEqual(build);
    expect(next.previous('serve')).toEqual(installed);
    expect(next.wanted('train')).toEqual(installed);
    expect(next.known('serve', build.id)).toEqual(build);
    expect(next.known('serve', null)).toEqual(build);
    expect([...next.used()]).toEqual([stored.digest]);
    await rm(join(buildsFolder(folder), hexOf(stored.digest)), { recursive: true });
    await expect(Deployed.load(folder, app, false)).rejects.toThrow('tandem up --installed');
    await writeFile(join(buildsFolder(folder), 'deployed.json'), '{');
    await expect(Deployed.load(folder, app, false)).rejects.toThrow('does not say what is deployed');
    expect((await Deployed.load(folder, app, true)).wanted('serve')).toEqual(installed);
  });
});
