// Installs the packages of the lock file when they are not there. Plain JavaScript for Node.js 18, like its
// caller.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** @typedef {'runtime' | 'full'} Kind */

const STAMP = 'node_modules/.tandem-install.json';
/** Beside node_modules, which the installation replaces; in a folder that is ignored already. */
const LOCK = '.tandem/install.lock';
/** Lines of npm's own words that are shown when it fails; after them comes its manual. */
const WORDS_SHOWN_MAX = 12;
const LOCK_LOOK_MS = 200;
/** A lock without a readable owner is one that is being written, for this long. */
const LOCK_WRITE_MS = 5_000;

/**
 * Makes sure that the packages are those of package-lock.json. `runtime`: without development tools.
 *
 * @param {string} root
 * @param {Kind} kind
 * @param {(line: string) => void} say
 */
export async function ensureInstalled(root, kind, say) {
  if (isInstalled(root, kind)) return;
  const release = await takeLock(join(root, LOCK), say);
  try {
    // Somebody else may have done it while we waited. What was installed by hand counts as well.
    if (isInstalled(root, kind) || adopt(root, kind)) return;
    const begun = performance.now();
    say(`installing ${kind === 'full' ? 'all packages' : 'the packages'}, once; this takes a minute or so`);
    await install(root, kind);
    stamp(root, kind);
    say(`installed in ${((performance.now() - begun) / 1_000).toFixed(1)} s`);
  } finally {
    release();
  }
}

/**
 * Whether the stamp says that these packages were installed from this lock file.
 *
 * @param {string} root
 * @param {Kind} kind
 */
export function isInstalled(root, kind) {
  const found = readJson(join(root, STAMP));
  return (
    found !== undefined && found.lock === lockHash(root) && (found.kind === 'full' || found.kind === kind)
  );
}

/**
 * Takes over what `npm ci` or `npm install` put there, when its own record names every package that is
 * needed.
 *
 * @param {string} root
 * @param {Kind} kind
 */
function adopt(root, kind) {
  const installed = readJson(join(root, 'node_modules/.package-lock.json'))?.packages;
  const wanted = readJson(join(root, 'package-lock.json'))?.packages;
  if (installed === undefined || wanted === undefined || !isLinked(root, wanted)) return false;
  if (!holds(wanted, installed, kind)) return false;
  stamp(root, kind === 'full' || holds(wanted, installed, 'full') ? 'full' : kind);
  return true;
}

/**
 * Whether the workspaces can be found by their names: one that came with a newer lock file has no link yet.
 *
 * @param {string} root
 * @param {Record<string, any>} wanted
 */
function isLinked(root, wanted) {
  return Object.entries(wanted).every(
    ([place, entry]) => entry.link !== true || existsSync(join(root, place)),
  );
}

/**
 * @param {Record<string, any>} wanted
 * @param {Record<string, any>} installed
 * @param {Kind} kind
 */
function holds(wanted, installed, kind) {
  return Object.entries(wanted).every(([place, entry]) => {
    const isOurs = !place.startsWith('node_modules/') || entry.link === true;
    // Optional packages are for other platforms too; npm knows which of them this one gets.
    if (isOurs || entry.optional === true || entry.devOptional === true || entry.peer === true) return true;
    if (entry.dev === true && kind === 'runtime') return true;
    return installed[place]?.version === entry.version;
  });
}

/** @param {string} root @param {Kind} kind */
function stamp(root, kind) {
  const file = join(root, STAMP);
  writeFileSync(`${file}.new`, `${JSON.stringify({ lock: lockHash(root), kind })}\n`);
  renameSync(`${file}.new`, file);
}

/** @param {string} root */
function lockHash(root) {
  return createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
}

/** @param {string} root @param {Kind} kind */
async function install(root, kind) {
  // NODE_ENV=production would leave development tools out behind our back.
  const scope = kind === 'runtime' ? '--omit=dev' : '--include=dev';
  const flags = [scope, '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const { code, words } = await runNpm(root, ['ci', ...flags]);
  if (code === 0) return;
  const shown = words.trim().split('\n').slice(0, WORDS_SHOWN_MAX).join('\n');
  throw new Error(`npm could not install the packages (exit code ${code}):\n${shown}`);
}

/** @param {string} root @param {string[]} flags @returns {Promise<{ code: number, words: string }>} */
function runNpm(root, flags) {
  const npm = process.env.npm_execpath;
  const isNpm = npm !== undefined && /^npm(-cli)?\.c?js$/.test(basename(npm));
  const [command, parameters] = isNpm ? [process.execPath, [npm, ...flags]] : ['npm', flags];
  const child = spawn(command, parameters, {
    cwd: root,
    stdio: ['ignore', 'ignore', 'pipe'],
    shell: !isNpm && process.platform === 'win32',
  });
  let words = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (words += text));
  return new Promise((resolve, reject) => {
    child.on('error', (error) => reject(new Error(`npm could not be started: ${error.message}`)));
    child.on('close', (code) => resolve({ code: code ?? 1, words }));
  });
}

/**
 * Takes the lock, waiting for a living owner to be done. Returns what gives it back.
 *
 * @param {string} path
 * @param {(line: string) => void} say
 */
export async function takeLock(path, say) {
  mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 });
  const draft = `${path}.${process.pid}`;
  let hasSaid = false;
  for (;;) {
    writeFileSync(draft, String(process.pid));
    try {
      // A link appears with its content, all at once, and only if the name is free.
      linkSync(draft, path);
      return () => rmSync(path, { force: true });
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    } finally {
      rmSync(draft, { force: true });
    }
    const owner = ownerOf(path);
    if (owner === undefined || isAlive(owner)) {
      if (!hasSaid) say('waiting for another process that is installing');
      hasSaid = true;
      await sleep(LOCK_LOOK_MS);
    } else {
      bury(path, owner);
    }
  }
}

/** Moves away the lock of a dead owner; if a living one took it in the meantime, it gets it back. */
function bury(path, owner) {
  const grave = `${path}.${process.pid}.dead`;
  try {
    renameSync(path, grave);
    if (ownerOf(grave) !== owner) linkSync(grave, path);
  } catch (error) {
    if (error.code !== 'ENOENT' && error.code !== 'EEXIST') throw error;
  } finally {
    rmSync(grave, { force: true });
  }
}

/**
 * Process id in the lock; 0, which is nobody, when it cannot be read and is too old to be still in the
 * making.
 */
function ownerOf(path) {
  try {
    const pid = Number(readFileSync(path, 'utf8'));
    if (Number.isInteger(pid) && pid > 0) return pid;
    return Date.now() - statSync(path).mtimeMs > LOCK_WRITE_MS ? 0 : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid) {
  if (pid === 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** @param {string} path @returns {any} */
function readJson(path) {
  try {
    return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
  } catch {
    return undefined;
  }
}
