// What CI runs, in order, each step with the number of files it looked at. A step that looked at none has
// failed: tools that find nothing to check are content, and say so with a green tick.
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = (path) => join(root, 'node_modules', path);
const node = process.execPath;

/** The number in the first match of the pattern. */
const numberIn = (pattern) => (output) => Number(pattern.exec(output)?.[1] ?? 0);
/** Our own files among the paths that a compiler prints. */
const ownFiles = (output) =>
  output.split('\n').filter((line) => line.startsWith(root) && !line.includes('node_modules')).length;

/**
 * @typedef {object} Step
 * @property {string} name
 * @property {string[]} command
 * @property {(output: string) => number} count files that it looked at, from what it prints
 * @property {boolean} [live] whether its output is shown as it comes
 */

/** @type {Step[]} */
const STEPS = [
  {
    name: 'format',
    command: [node, bin('oxfmt/bin/oxfmt'), '--check', '.'],
    count: numberIn(/on (\d+) files/),
  },
  {
    name: 'lint',
    command: [node, bin('oxlint/bin/oxlint'), '--type-aware', '--deny-warnings'],
    count: numberIn(/on (\d+) files/),
  },
  {
    name: 'types',
    command: [node, bin('typescript/bin/tsc'), '-p', root, '--listFiles'],
    count: ownFiles,
  },
  {
    name: 'tests',
    command: [node, bin('vitest/vitest.mjs'), 'run'],
    count: numberIn(/Test Files\s+(?:\d+ failed \| )?(\d+) passed/),
    live: true,
  },
  {
    name: 'dead code',
    command: [node, bin('knip/bin/knip.js'), '--performance'],
    count: numberIn(/parseFile\s+(\d+)/),
  },
  {
    name: 'build',
    command: [node, join(root, 'scripts/build.mjs')],
    count: numberIn(/compiled (\d+) files/),
  },
  {
    name: 'package',
    command: [node, bin('publint/src/cli.js'), 'run', '--strict', '--pack', 'npm', root],
    count: () => packed().length,
  },
  {
    name: 'package types',
    command: [
      node,
      bin('@arethetypeswrong/cli/dist/index.js'),
      '--pack',
      root,
      '--profile',
      'esm-only',
      '--no-emoji',
      '--format',
      'json',
    ],
    count: (output) =>
      Object.keys(JSON.parse(output.slice(output.indexOf('{'))).analysis?.entrypoints ?? {}).length,
  },
];

/** @param {string[]} command @param {boolean} live @returns {Promise<{ code: number, output: string }>} */
function run([command = '', ...parameters], live) {
  const env = { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined };
  const child = spawn(command, parameters, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const [stream, target] of [
    [child.stdout, process.stdout],
    [child.stderr, process.stderr],
  ]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
      if (live) target.write(text);
    });
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? 1, output }));
  });
}

let packedFiles;
/** What `npm pack` would publish. */
function packed() {
  return packedFiles ?? [];
}

async function listPacked() {
  const npm = process.env.npm_execpath;
  const command = npm === undefined ? ['npm'] : [node, npm];
  const { code, output } = await run(
    [...command, 'pack', '--dry-run', '--json', '--ignore-scripts', '--loglevel=error'],
    false,
  );
  if (code !== 0) throw new Error(`npm pack failed:\n${output}`);
  packedFiles = JSON.parse(output.slice(output.indexOf('[')))[0].files;
}

const only = process.argv.slice(2);
const unknown = only.filter((name) => !STEPS.some((step) => step.name === name));
if (unknown.length > 0) {
  process.stderr.write(
    `verify: expected steps of ${STEPS.map(({ name }) => `'${name}'`).join(', ')}, got '${unknown[0]}'\n`,
  );
  process.exit(2);
}
for (const { name, command, count, live = false } of STEPS) {
  if (only.length > 0 && !only.includes(name)) continue;
  const begun = performance.now();
  if (name === 'package') await listPacked();
  const { code, output } = await run(command, live);
  const files = code === 0 ? count(output) : 0;
  const seconds = ((performance.now() - begun) / 1_000).toFixed(1);
  if (code === 0 && files > 0) {
    process.stdout.write(`ok      ${name}: ${files} files, ${seconds} s\n`);
    continue;
  }
  if (!live) process.stdout.write(`${output}\n`);
  const reason = code === 0 ? 'it looked at no file' : `exit code ${code}`;
  process.stdout.write(`FAILED  ${name}: ${reason} (${seconds} s)\n`);
  process.exit(1);
}
