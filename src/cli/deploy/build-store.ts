import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { PlatformError } from '../../contract/index.ts';
import { APP_PLACES } from '../app-file.ts';
import { type BuildPart, hexOf } from './build.ts';
import { type ContentFile, openContent, platformFiles } from './content.ts';
import {
  installedPackages,
  mainOf,
  type Manifest,
  nearestPackages,
  ownPlatform,
  PLATFORM,
  readManifest,
} from './installation.ts';
import { BUILD_LIMITS } from './limits.ts';

const storedBuild = z.object({
  digest: z.string(),
  label: z.string(),
  main: z.string().nullable(),
  app: z.string().nullable(),
  files: z.number(),
  bytes: z.number(),
  /** Where its packages lie, if not within it, and what they were: they are linked, not copied. */
  packages: z.object({ folder: z.string(), state: z.string() }).nullable(),
});

/** A build that was taken in. */
export type StoredBuild = Readonly<z.infer<typeof storedBuild>> & BuildPart;

const MANIFEST = 'build.json';
const CONTENT = 'content';
const DRAFT = '.draft-';
/** A draft of this age is of a process that died, in milliseconds. */
const DRAFT_MS_MAX = 3_600_000;

/** Folder of the builds of a data directory. */
export function buildsFolder(dataDir: string): string {
  return join(resolve(dataDir), 'builds');
}

/**
 * Builds by the digest of what is in them, each copied once: what is done to the original later changes nothing of what
 * runs.
 */
export class BuildStore {
  readonly #folder: string;

  constructor(dataDir: string) {
    this.#folder = buildsFolder(dataDir);
  }

  /**
   * Takes in a folder or a tarball. Rejects with CONFIGURATION (there is none), UNPROCESSABLE (it is no build, or
   * too large).
   */
  async take(place: string): Promise<StoredBuild> {
    const given = resolve(place);
    const all = await openContent(given);
    const manifest = await manifestIn(all);
    const isPlatform = manifest.name === PLATFORM;
    const files = isPlatform ? platformFiles(all) : all;
    const packages = await packagesOf(given, files, manifest);
    const draft = join(this.#folder, `${DRAFT}${randomUUID()}`);
    try {
      const digest = await copy(files, join(draft, CONTENT), packages?.state ?? '');
      if (packages !== null) await symlink(packages.folder, join(draft, CONTENT, 'node_modules'), 'dir');
      const found = await this.find(digest);
      if (found !== undefined) return found;
      const final = join(this.#folder, hexOf(digest));
      const kind = await kindOf(given, join(draft, CONTENT), isPlatform);
      const inside = (path: string | undefined): string | null =>
        path === undefined ? null : resolve(final, CONTENT, path);
      const stored: StoredBuild = {
        digest,
        label: manifest.version ?? manifest.name ?? basename(given),
        main: inside(kind.main),
        app: inside(kind.app),
        files: files.length,
        bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
        packages,
      };
      await writeFile(join(draft, MANIFEST), `${JSON.stringify(stored)}\n`, { mode: 0o600 });
      // What is there already, of another process or broken, is not what `find` takes for a build.
      await rename(draft, final).catch(async () => {
        if ((await this.find(digest)) === undefined) throw notStored(final);
      });
      return stored;
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
  }

  /** The stored build of a digest. */
  async find(digest: string): Promise<StoredBuild | undefined> {
    try {
      const text = await readFile(join(this.#folder, hexOf(digest), MANIFEST), 'utf8');
      const { data } = storedBuild.safeParse(JSON.parse(text));
      return data?.digest === digest ? data : undefined;
    } catch {
      return undefined;
    }
  }

  /** Rejects with CONFLICT when packages of the builds are not those any more that they were taken in with. */
  async assertUnchanged(digests: readonly string[]): Promise<void> {
    for (const digest of digests) {
      const stored = await this.find(digest);
      if (stored === undefined || stored.packages === null) continue;
      const { packages, label } = stored;
      const content = join(this.#folder, hexOf(digest), CONTENT);
      const manifest = await readManifest(content);
      if ((await stateOf(packages.folder, manifest)) === packages.state) continue;
      throw new PlatformError(
        'CONFLICT',
        `The packages in ${packages.folder} have changed since build ${label} was taken in. ` +
          'Deploy it anew from where it came from.',
      );
    }
  }

  /** Removes what no digest of `used` names, but for the newest ones. */
  async prune(used: ReadonlySet<string>): Promise<void> {
    const names = await readdir(this.#folder).catch(() => []);
    const ages = await Promise.all(
      names.map(async (name) => {
        const found = await stat(join(this.#folder, name)).catch(() => undefined);
        return { name, mtimeMs: found?.mtimeMs ?? 0 };
      }),
    );
    const unused = ages
      .filter(({ name }) => /^[0-9a-f]{64}$/.test(name) && !used.has(`sha256:${name}`))
      .toSorted((left, right) => right.mtimeMs - left.mtimeMs)
      .slice(BUILD_LIMITS.keptMax);
    const left = ages.filter(
      ({ name, mtimeMs }) => name.startsWith(DRAFT) && Date.now() - mtimeMs > DRAFT_MS_MAX,
    );
    for (const { name } of [...unused, ...left]) {
      await rm(join(this.#folder, name), { recursive: true, force: true });
    }
  }
}

async function manifestIn(files: readonly ContentFile[]): Promise<Manifest> {
  const file = files.find(({ path }) => path === 'package.json');
  if (file === undefined) return {};
  try {
    return JSON.parse(new TextDecoder().decode(await file.read())) as Manifest;
  } catch (error) {
    throw new PlatformError('UNPROCESSABLE', 'The package.json of the build is not JSON', { cause: error });
  }
}

/** Copies the files and gives the digest of their paths and bytes, and of the packages beside them. */
async function copy(files: readonly ContentFile[], to: string, packages: string): Promise<string> {
  const hash = createHash('sha256');
  await mkdir(to, { recursive: true, mode: 0o700 });
  for (const file of files) {
    const { path } = file;
    const bytes = await file.read();
    const target = join(to, path);
    await mkdir(dirname(target), { recursive: true, mode: 0o700 });
    await writeFile(target, bytes, { mode: 0o600 });
    hash.update(`${path}\0${String(bytes.length)}\0`).update(bytes);
  }
  return `sha256:${hash.update(packages).digest('hex')}`;
}

interface Kind {
  /** Relative to the content where it lies within, else absolute. */
  readonly main: string | undefined;
  readonly app: string | undefined;
}

async function kindOf(given: string, content: string, isPlatform: boolean): Promise<Kind> {
  if (isPlatform) {
    const main = mainOf(content);
    if (main !== undefined) return { main, app: undefined };
    throw new PlatformError(
      'UNPROCESSABLE',
      `${given} is the platform, but without src/cli/main.ts or dist/cli/main.js: build it first`,
    );
  }
  const app = APP_PLACES.find((place) => existsSync(join(content, place)));
  if (app !== undefined) return { main: await ownPlatform(join(content, 'node_modules')), app };
  throw new PlatformError(
    'UNPROCESSABLE',
    `${given} is no build: expected the package '${PLATFORM}', or an app (${APP_PLACES.join(', ')})`,
  );
}

/** Where the packages of a build lie that brings none, and what they are. Rejects with UNPROCESSABLE when they do not do. */
async function packagesOf(
  given: string,
  files: readonly ContentFile[],
  manifest: Manifest,
): Promise<StoredBuild['packages']> {
  if (files.some(({ path }) => path.startsWith('node_modules/'))) return null;
  const isFolder = (await stat(given)).isDirectory();
  const folder = (isFolder ? nearestPackages(given) : undefined) ?? installedPackages();
  if (folder === undefined) return null;
  for (const [name, wanted] of Object.entries(manifest.dependencies ?? {})) {
    const { version } = await readManifest(join(folder, name));
    const isPinned = /^\d+\.\d+\.\d+/.test(wanted);
    if (version !== undefined && (!isPinned || version === wanted)) continue;
    throw new PlatformError(
      'UNPROCESSABLE',
      `${given} needs ${name} ${wanted}, but ${folder} has ${version ?? 'none'}. ` +
        "Run 'npm install' in it and deploy that folder, or bundle its packages into the tarball.",
    );
  }
  return { folder, state: await stateOf(folder, manifest) };
}

/** What tells whether packages have changed: npm's own record of them, and the versions of those that are needed. */
async function stateOf(folder: string, manifest: Manifest): Promise<string> {
  const record = await readFile(join(folder, '.package-lock.json')).catch(() => '');
  const names = Object.keys(manifest.dependencies ?? {}).toSorted();
  const versions = await Promise.all(
    names.map(async (name) => `${name}@${(await readManifest(join(folder, name))).version ?? ''}`),
  );
  return createHash('sha256').update(record).update(versions.join()).digest('hex');
}

function notStored(folder: string): PlatformError {
  return new PlatformError('CONFLICT', `${folder} is in the way and no build; remove it and try again`);
}
