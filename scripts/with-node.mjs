// Runs a command of this repository on a fresh clone: installs what is missing, picks a Node.js that is new
// enough and passes everything on. It must run on Node.js 18, without any dependency: npm calls it before
// there is one.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ensureInstalled } from './install.mjs';

const NODE_MAJOR_MIN = 24;
/** Where npm has a Node.js for this platform; the one for Apple's processors goes by a name of its own. */
const NODE_PACKAGES = ['node', 'node-bin'].map((prefix) => `${prefix}-${process.platform}-${process.arch}`);
const CONDITION = '--conditions=tandem-source';

/**
 * The commands: what they run (relative to the root) and which packages they need. `runtime` leaves the
 * development tools out, so that a first `npm start` downloads less.
 *
 * @type {Record<string, { run: string[], install: 'runtime' | 'full' }>}
 */
export const COMMANDS = {
  start: { run: ['examples/fraud/run.ts'], install: 'runtime' },
  'start:diagnostics': { run: ['examples/diagnostics/run.ts'], install: 'runtime' },
  'start:recommend': { run: ['examples/recommend/run.ts'], install: 'runtime' },
  tandem: { run: ['src/cli/main.ts'], install: 'runtime' },
  test: { run: ['node_modules/vitest/vitest.mjs', 'run'], install: 'full' },
  'test:system': { run: ['node_modules/vitest/vitest.mjs', 'run', '--mode', 'system'], install: 'full' },
  bench: { run: ['bench/run.ts'], install: 'full' },
  chaos: { run: ['test/chaos/run.ts'], install: 'full' },
  build: { run: ['scripts/build.mjs'], install: 'full' },
  verify: { run: ['scripts/verify.mjs'], install: 'full' },
};

/**
 * The command line of a child: what Node.js is given.
 *
 * @param {string} root
 * @param {string[]} parameters name of a command and what is passed through to it
 * @returns {{ parameters: string[], install: 'runtime' | 'full' } | { error: string }}
 */
export function plan(root, parameters) {
  const [name = '', ...rest] = parameters;
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    return { error: `expected one of ${Object.keys(COMMANDS).join(', ')}, got '${name}'` };
  }
  const [script = '', ...fixed] = command.run;
  return { parameters: [CONDITION, join(root, script), ...fixed, ...rest], install: command.install };
}

/**
 * A Node.js that is new enough: the one that runs this, else the one that npm installed for this platform.
 *
 * @param {string} root
 * @param {string} version of the Node.js that runs this
 * @param {string} own path of it
 * @returns {string | undefined}
 */
export function pickNode(root, version, own) {
  if (Number(version.split('.', 1)[0]) >= NODE_MAJOR_MIN) return own;
  const file = process.platform === 'win32' ? 'node.exe' : 'node';
  const places = NODE_PACKAGES.map((name) => join(root, 'node_modules', name, 'bin', file));
  return places.find((path) => existsSync(path));
}

/**
 * Runs the child, passes signals on and resolves with its exit code once it is gone.
 *
 * A terminal sends Ctrl-C to every process in front of it, the child included: passing it on would make it
 * two, and the second one means "at once". Without a terminal it was sent to us alone.
 *
 * @param {string} node
 * @param {string[]} parameters
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<number>}
 */
export function runChild(node, parameters, env) {
  const child = spawn(node, parameters, { stdio: 'inherit', env });
  const hasTerminal =
    process.stdin.isTTY === true || process.stdout.isTTY === true || process.stderr.isTTY === true;
  process.on('SIGINT', () => {
    if (!hasTerminal) child.kill('SIGINT');
  });
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) =>
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])),
    );
  });
}

/**
 * @param {string[]} given
 * @returns {Promise<number>}
 */
async function main(given) {
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const planned = plan(root, given);
  if ('error' in planned) {
    process.stderr.write(`with-node: ${planned.error}\n`);
    return 2;
  }
  await ensureInstalled(root, planned.install, (line) => process.stderr.write(`tandem: ${line}\n`));
  const node = pickNode(root, process.versions.node, process.execPath);
  if (node === undefined) {
    process.stderr.write(
      `tandem: expected Node.js ${NODE_MAJOR_MIN} or later, got ${process.versions.node}, and npm has none for ` +
        `${process.platform}-${process.arch}. Install it from https://nodejs.org\n`,
    );
    return 1;
  }
  // Whatever the child starts by the name `node` must be the same one.
  const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH ?? ''}` };
  return runChild(node, planned.parameters, env);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`tandem: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
