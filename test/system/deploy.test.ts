import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { readState } from '../../src/cli/supervisor/state-file.ts';
import type { ServiceName } from '../../src/contract/index.ts';
import { BROKEN_BUILDS, makeBuild } from '../chaos/support/build-folders.ts';
import { Platform } from '../chaos/support/platform.ts';
import { ROOT } from '../tidy/tree.ts';

const run = promisify(execFile);
/** A busy machine takes its time. */
const PATIENCE = { timeout: 60_000, interval: 250 };

/** A tarball of the built package, as `npm publish` would make it. */
async function packed(folder: string): Promise<string> {
  await mkdir(folder);
  await run(process.execPath, [join(ROOT, 'scripts/build.mjs')], { cwd: ROOT });
  await run('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], { cwd: ROOT });
  const [name = ''] = await readdir(folder);
  return join(folder, name);
}

/** A team's app, with a change of its text. */
async function makeApp(folder: string, find: string, replace: string): Promise<string> {
  await mkdir(folder);
  const text = await readFile(join(ROOT, 'test/chaos/fixtures/app.ts'), 'utf8');
  expect(text).toContain(find);
  await writeFile(join(folder, 'app.ts'), text.replaceAll(find, replace));
  await writeFile(join(folder, 'package.json'), '{"name":"shop","version":"2.0.0","type":"module"}');
  return folder;
}

describe('tandem deploy', () => {
  it('rolls a service to a build, refuses what does not fit, and goes back by itself', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tandem-deploy-'));
    await using platform = await Platform.start({ note: () => undefined });
    const deploy = (...parameters: string[]): ReturnType<Platform['tandem']> =>
      platform.tandem('deploy', ...parameters);
    /** The builds that processes of a service run, and that their answers name. */
    const builds = async (service: ServiceName): Promise<(string | null)[]> => {
      const found = await platform.processes(service);
      const answers = await Promise.all(found.map(({ url }) => fetch(`${url ?? ''}/livez`)));
      expect(answers.map(({ headers }) => headers.get('x-tandem-build'))).toEqual(
        found.map(({ build }) => build),
      );
      return found.map(({ build }) => build);
    };
    const pidOf = async (service: ServiceName): Promise<number | null | undefined> =>
      (await platform.processes(service))[0]?.pid;
    try {
      const [installed] = await builds('serve');
      const good = await makeBuild(join(folder, 'good'), 'good');
      expect(await deploy('serve', '--version', good)).toMatchObject({ code: 0 });
      const [deployed] = await builds('serve');
      expect(deployed).not.toBe(installed);
      expect(await builds('registry')).toEqual([installed]);
      const status = await platform.tandem('status');
      expect(status.out).toContain(String(deployed));

      // It ends soon after the roll-out, by whoever's hand: the build before comes back.
      process.kill((await pidOf('serve')) ?? 0, 'SIGKILL');
      const end = async (): Promise<unknown> =>
        (await readState(platform.dataDir))?.services.serve?.deployment?.phase;
      await expect.poll(end, PATIENCE).toBe('rolled back');
      expect(await builds('serve')).toEqual([installed]);

      const pid = await pidOf('serve');
      for (const [kind, code, words] of [
        ['refused', 'BUILD_INCOMPATIBLE', 'result.score takes number, string may come'],
        ['rolled back', 'BUILD_ROLLED_BACK', 'did not become ready'],
      ] as const) {
        const broken = BROKEN_BUILDS.find(({ end: how }) => how === kind);
        const place = await makeBuild(join(folder, code), kind.replace(' ', '-'), broken?.edits ?? []);
        const failed = await deploy('serve', '--version', place);
        expect(failed).toMatchObject({ code: 1 });
        expect(failed.err).toContain(code);
        expect(failed.err).toContain(words);
        expect(await pidOf('serve')).toBe(pid);
      }

      const changed = await makeApp(join(folder, 'changed'), "over('1d')", "over('2d')");
      const refused = await deploy('serve', '--version', changed, '--check');
      expect(refused).toMatchObject({ code: 1 });
      expect(refused.err).toContain("vector 'basket' is another one in serve");
      const added = await makeApp(
        join(folder, 'added'),
        'decisions: { accept, suggest }',
        "decisions: { accept, suggest, again: decision('again', { model: returning, subject: 'customerId' }) }",
      );
      const alone = await deploy('serve', '--version', added, '--check');
      expect(alone.err).toContain('deploy registry first, or both together');
      expect(await deploy('serve', 'registry', '--version', added)).toMatchObject({ code: 0 });
      const [registry] = await platform.processes('registry');
      expect((await builds('serve'))[0]).toBe(registry?.build);

      const tarball = await packed(join(folder, 'tarball'));
      expect(await deploy('ingest', '--version', tarball)).toMatchObject({ code: 0 });
      const [compiled] = await builds('ingest');
      expect(compiled).not.toBe(installed);
      // What is done to the file afterwards changes nothing of what runs, not even when it starts anew.
      await rm(tarball);
      expect(await platform.tandem('restart', 'ingest')).toMatchObject({ code: 0 });
      expect(await builds('ingest')).toEqual([compiled]);
      const back = await deploy('ingest', '--rollback', '--json');
      expect(back).toMatchObject({ code: 0 });
      expect(await builds('ingest')).toEqual([installed]);
      expect((await deploy('train', '--rollback')).err).toContain('has not run another build before');
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }, 400_000);

  it('is finished or taken back by the next supervisor, and outlives both', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tandem-deploy-'));
    await using platform = await Platform.start({ note: () => undefined });
    const deployment = async (): Promise<{ phase: unknown; builds: unknown }> => {
      const state = await readState(platform.dataDir);
      const serve = state?.processes.filter(
        ({ service, state: is }) => service === 'serve' && is === 'ready',
      );
      return {
        phase: state?.services.serve?.deployment?.phase,
        builds: serve?.map(({ build }) => build),
      };
    };
    const restart = async (): Promise<void> => {
      const pid = platform.supervisorPid ?? 0;
      process.kill(pid, 'SIGKILL');
      await expect.poll(() => platform.supervisorPid, PATIENCE).toBeUndefined();
      await platform.startSupervisor();
      await platform.untilReady(120_000);
    };
    try {
      const installed = (await platform.processes('serve'))[0]?.build;
      const place = await makeBuild(join(folder, 'good'), 'good');
      const under = platform.tandem('deploy', 'serve', '--version', place);
      await expect.poll(async () => (await deployment()).phase, PATIENCE).toBe('canary');
      await restart();
      await under;
      await expect.poll(deployment, PATIENCE).toEqual({ phase: 'rolled back', builds: [installed] });

      expect(await platform.tandem('deploy', 'serve', '--version', place)).toMatchObject({ code: 0 });
      const now = (await deployment()).builds;
      expect(now).not.toEqual([installed]);
      await restart();
      expect(await deployment()).toMatchObject({ builds: now });
      await cp(place, join(folder, 'same'), { recursive: true });
      const same = await platform.tandem('deploy', 'serve', '--version', join(folder, 'same'));
      expect(same.err).toContain('already');
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }, 400_000);
});
