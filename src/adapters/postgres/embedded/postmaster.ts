import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { release } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PlatformError } from '../../../contract/errors.ts';
import { isPortFree, lastingPort } from '../../../runtime/lasting-port.ts';
import { serverEnvironment } from './cluster.ts';
import type { Place } from './place.ts';
import { commandLine, isRunning, processesWith, signal } from './processes.ts';

const HOST = '127.0.0.1';

/**
 * Settings of the embedded server; what keeps acknowledged writes (fsync and the like) stays at the safe
 * defaults.
 */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: HOST,
  unix_socket_directories: '',
  max_connections: '100',
  shared_buffers: '128MB',
  max_wal_size: '2GB',
  wal_compression: 'off',
  jit: 'off',
  // Errors go to the client that made them. The file keeps starts, stops and fatal errors, so it stays small.
  log_min_messages: 'log',
  log_checkpoints: 'off',
};

/**
 * After a crash the server first makes sure that every file is on disk. Opening each of them took 2.8 of 5.2 s on a busy
 * machine; Linux does it in one call, which also tells of errors from 5.8 on.
 */
function recoverySettings(): Readonly<Record<string, string>> {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  const isReliable = process.platform === 'linux' && (major > 5 || (major === 5 && minor >= 8));
  return isReliable ? { recovery_init_sync_method: 'syncfs' } : {};
}

const POLL_MS = 20;
/** Recovery after a crash replays at most `max_wal_size` of log. */
const START_MS_MAX = 120_000;
const FAST_SHUTDOWN_MS_MAX = 15_000;
const IMMEDIATE_SHUTDOWN_MS_MAX = 5_000;
const ATTEMPTS_MAX = 20;

/** What `postmaster.pid` says. */
export interface PidFile {
  readonly pid: number;
  readonly port: number;
  /** `starting`, `stopping`, `ready` or `standby`; empty before the server has come that far. */
  readonly status: string;
}

/** Reads `postmaster.pid`; `undefined` when there is none. */
export async function readPidFile(data: string): Promise<PidFile | undefined> {
  const text = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => undefined);
  const lines = text?.split('\n') ?? [];
  const pid = Number(lines[0]);
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
  return { pid, port: Number(lines[3] ?? ''), status: (lines[7] ?? '').trim() };
}

/** The name that all processes of this data directory's server show in their command line. */
export function clusterName(data: string): string {
  return `tandem-${createHash('sha256').update(data).digest('hex').slice(0, 12)}`;
}

/** Whether the process is the postmaster of this data directory. */
export async function isPostmasterOf(pid: number, data: string): Promise<boolean> {
  return (await isRunning(pid)) && (await commandLine(pid)).includes(clusterName(data));
}

/** Whether the process is some PostgreSQL server, of whatever directory. */
export async function isSomePostgres(pid: number): Promise<boolean> {
  return (await isRunning(pid)) && /(^|\/)postgres( -D|:)/.test(await commandLine(pid));
}

/**
 * Ends what a killed postmaster left behind: its children hold the shared memory, and a new server may not
 * start while one of them lives. The write-ahead log makes ending them hard safe.
 */
export async function endLeftovers(data: string): Promise<void> {
  const deadline = performance.now() + IMMEDIATE_SHUTDOWN_MS_MAX;
  for (let name: NodeJS.Signals = 'SIGQUIT'; ;) {
    const left = await processesWith(clusterName(data));
    if (left.length === 0) break;
    if (performance.now() > deadline) name = 'SIGKILL';
    for (const { pid } of left) signal(pid, name);
    await sleep(POLL_MS * 5);
  }
  await rm(join(data, 'postmaster.pid'), { force: true });
}

/**
 * Starts the server on a free loopback port and waits until it takes connections. Returns its pid and port.
 */
export async function launch(place: Place): Promise<PidFile> {
  let failure = '';
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    const port = await freePort(place.home, attempt === 0);
    const started = await launchOn(place, port);
    if (typeof started !== 'string') {
      await writeFile(join(place.home, 'port'), `${port}\n`);
      return started;
    }
    failure = started;
    // A port can be lost to another process in between; shared memory can be held by a child that is just
    // ending.
    if (!/could not create any TCP\/IP sockets|pre-existing shared memory block/.test(failure)) break;
    await sleep(POLL_MS * 10);
  }
  throw new PlatformError('UNAVAILABLE', `The embedded PostgreSQL did not start: ${failure}`);
}

async function launchOn(place: Place, port: number): Promise<PidFile | string> {
  const logPath = join(place.home, 'server.log');
  await rename(logPath, `${logPath}.old`).catch(() => undefined);
  const settings = {
    ...SETTINGS,
    ...recoverySettings(),
    cluster_name: clusterName(place.data),
    port: String(port),
  };
  const parameters = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const logFile = openSync(logPath, 'a', 0o600);
  const child = spawn(join(place.binaries.native, 'bin', 'postgres'), ['-D', place.data, ...parameters], {
    // A session of its own: the terminal's Ctrl-C and the end of this process do not reach it.
    detached: true,
    stdio: ['ignore', logFile, logFile],
    cwd: '/',
    env: serverEnvironment(),
    ...(place.account === undefined ? {} : { uid: place.account.uid, gid: place.account.gid }),
  });
  closeSync(logFile);
  let ended: string | undefined;
  child.once('error', (error) => (ended = error.message));
  child.once('exit', (code, name) => (ended = `exit ${code ?? name}`));
  child.unref();
  const deadline = performance.now() + START_MS_MAX;
  for (;;) {
    if (ended !== undefined) {
      return `${ended}: ${(await readFile(logPath, 'utf8').catch(() => '')).trim().slice(-2000)}`;
    }
    const file = await readPidFile(place.data);
    if (file !== undefined && file.pid === child.pid && file.status === 'ready') return file;
    if (performance.now() > deadline) {
      child.kill('SIGQUIT');
      return `not ready after ${START_MS_MAX} ms; see ${logPath}`;
    }
    await sleep(POLL_MS);
  }
}

/** The port of the last time if it is free, so that the address survives a restart; else any to which one can come back. */
async function freePort(home: string, preferLast: boolean): Promise<number> {
  const last = Number(await readFile(join(home, 'port'), 'utf8').catch(() => ''));
  if (
    preferLast &&
    Number.isInteger(last) &&
    last > 1023 &&
    last < 65_536 &&
    (await isPortFree(HOST, last))
  ) {
    return last;
  }
  const port = await lastingPort(HOST);
  if (port === undefined) throw new PlatformError('UNAVAILABLE', `There is no free port on ${HOST}`);
  return port;
}

/**
 * Fast shutdown: ends sessions, writes a checkpoint. After the deadline harder. Returns when the server is
 * gone.
 */
export async function stopPostmaster(pid: number, data: string): Promise<void> {
  const steps: [NodeJS.Signals, number][] = [
    ['SIGINT', FAST_SHUTDOWN_MS_MAX],
    ['SIGQUIT', IMMEDIATE_SHUTDOWN_MS_MAX],
  ];
  for (const [name, waitMs] of steps) {
    if (!(await isPostmasterOf(pid, data))) return;
    signal(pid, name);
    const deadline = performance.now() + waitMs;
    while (performance.now() < deadline) {
      if (!(await isRunning(pid))) return;
      await sleep(POLL_MS);
    }
  }
  await endLeftovers(data);
}
