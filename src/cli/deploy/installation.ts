import { readFile, realpath } from 'node:fs/promises';
import { existsSync, realpathSync, statSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { VERSION } from '../version.ts';
import type { Build } from './build.ts';

/** Name of the platform's package. */
export const PLATFORM = 'tandem';

/** Root of the running package: two folders up in the sources and in what they compile to. */
const ROOT = fileURLToPath(new URL('../../../', import.meta.url)).replace(/[\\/]$/, '');
const MAIN = fileURLToPath(new URL(`../main${extname(import.meta.url)}`, import.meta.url));

/** The build that is not deployed but installed: this very package, with the app that it was started with. */
export function installedBuild(app: string): Build {
  return { id: VERSION, label: VERSION, main: MAIN, app, parts: [] };
}

/** The folder of packages that code at `place` finds first: its own, or that of a folder above it. */
export function nearestPackages(place: string): string | undefined {
  for (let folder = place; ; folder = dirname(folder)) {
    const packages = join(folder, 'node_modules');
    if (isFolder(packages)) return packages;
    if (dirname(folder) === folder) return undefined;
  }
}

/** The packages of the running platform. */
export function installedPackages(): string | undefined {
  // An installed package lies among those that it needs.
  return nearestPackages(realpathSync(ROOT));
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** What a manifest says that matters here. */
export interface Manifest {
  readonly name?: string;
  readonly version?: string;
  readonly bin?: string | Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
}

/** The manifest of a folder; empty when it has none. */
export async function readManifest(folder: string): Promise<Manifest> {
  try {
    return JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Manifest;
  } catch {
    return {};
  }
}

/** The command line of a copy of the platform: its sources where they are, as in a checkout, else what they compile to. */
export function mainOf(folder: string): string | undefined {
  return ['src/cli/main.ts', 'dist/cli/main.js'].find((path) => existsSync(join(folder, path)));
}

/**
 * The command line of the platform that an app brings with it, among `packages`; `undefined` when that is the running
 * one or there is none.
 */
export async function ownPlatform(packages: string): Promise<string | undefined> {
  const root = await realpath(join(packages, PLATFORM)).catch(() => undefined);
  if (root === undefined || root === (await realpath(ROOT))) return undefined;
  const main = mainOf(root);
  return main === undefined ? undefined : join(root, main);
}

/**
 * Parameters that Node.js needs for an app: a checkout of the platform is found by its sources, which only a condition
 * reaches.
 */
export function conditionsFor({ main, app }: Pick<Build, 'main' | 'app'>): readonly string[] {
  const packages = nearestPackages(dirname(app));
  const isCheckout = packages !== undefined && existsSync(join(packages, PLATFORM, 'src/index.ts'));
  return extname(main) === '.ts' || isCheckout ? ['--conditions=tandem-source'] : [];
}
