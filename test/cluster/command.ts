import { execFile, execFileSync } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What one of the harnesses needs of the machine. */
export interface Need {
  /** A program on the search path, or the path of a file. */
  readonly program: string;
  /** The Debian package that has it. */
  readonly package: string;
}

/** Runs a program to its end and resolves with what it wrote. Throws with its standard error. */
export async function command(program: string, ...parameters: readonly string[]): Promise<string> {
  try {
    const { stdout } = await run(program, [...parameters], { encoding: 'utf8', maxBuffer: 2 ** 26 });
    return stdout;
  } catch (error) {
    const { stderr } = error as { readonly stderr?: string };
    throw new Error(`${program} ${parameters.join(' ')}: ${stderr?.trim() || String(error)}`, {
      cause: error,
    });
  }
}

/** The same while this process ends, when nothing can be awaited any more. Failures are passed over. */
export function commandAtExit(program: string, ...parameters: readonly string[]): string {
  try {
    return execFileSync(program, [...parameters], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return '';
  }
}

/** Why a harness cannot run here, naming the packages that would help; `undefined` when it can. */
export async function whyNot(needs: readonly Need[]): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'it needs Linux';
  if (process.getuid?.() !== 0) return 'it needs root (network namespaces, mounts)';
  const missing: string[] = [];
  for (const { program, package: name } of needs) if (!(await isThere(program))) missing.push(name);
  if (missing.length === 0) return undefined;
  return `not installed; as root: apt-get install -y ${[...new Set(missing)].join(' ')}`;
}

async function isThere(program: string): Promise<boolean> {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  const paths = program.startsWith('/') ? [program] : folders.map((folder) => join(folder, program));
  for (const path of paths) {
    const found = await access(path, program === path ? constants.R_OK : constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return true;
  }
  return false;
}
