import { flushCompileCache } from 'node:module';
import { dirname, resolve } from 'node:path';
import { PlatformError, type ServiceName } from '../../contract/index.ts';
import {
  type Config,
  createLogger,
  isPortFree,
  type RootLogger,
  type ServiceDefinition,
} from '../../runtime/index.ts';
import { AUTH } from '../access-settings.ts';
import { ensureAdminKey } from '../admin-key.ts';
import { loadApp } from '../app-file.ts';
import { type RunningProcess, startProcess } from '../compose.ts';
import { claimDataDirectory, findDev } from '../data-directory.ts';
import { type Database, embeddedDatabase, givenDatabase, removeData } from '../database.ts';
import { DEV_PORT, nextFreePort } from '../free-port.ts';
import { type Interrupt, listenForInterrupt } from '../interrupt.ts';
import { openFailPoints } from '../fail-points.ts';
import type { Output } from '../output.ts';
import { findService, PROCESS, SERVICES } from '../settings.ts';
import { livingProcesses, readState } from '../supervisor/state-file.ts';

/**
 * How long stopping takes at most before the process is ended, in milliseconds: a little more than its parts
 * get.
 */
const STOP_MARGIN_MS = 1_500;

/** `tandem dev`: every service in one process, with an embedded database. Runs until it is interrupted. */
export async function dev(
  config: Config,
  options: { readonly fresh: boolean },
  output: Output,
): Promise<void> {
  const begun = performance.now();
  const { app: file, dataDir, databaseUrl, graceMs } = config.section(PROCESS);
  if (options.fresh && databaseUrl !== undefined) {
    throw new PlatformError(
      'CONFIGURATION',
      '--fresh removes the embedded database, but DATABASE_URL names one of your own. Empty that one yourself, or unset DATABASE_URL.',
    );
  }
  const note = (text: string): void => output.note(`tandem dev: ${text}`);
  const { app, path } = await loadApp(file);
  const port = await choosePort(config, note);
  await using directory = await claimDataDirectory(resolve(dataDir));
  await refuseLeftProcesses(dataDir);
  using interrupt = listenForInterrupt(graceMs + STOP_MARGIN_MS, note);
  const logger = createLogger({
    level: config.section(PROCESS).logLevel ?? (output.isWatched ? 'warn' : 'info'),
    format: process.stderr.isTTY ? 'text' : 'json',
  });
  if (options.fresh) {
    note(`removing the data in ${dataDir}`);
    await removeData(dataDir, true);
  }
  const failPoints = openFailPoints(config.section(PROCESS).failPoints, 'dev', logger);
  const database =
    databaseUrl === undefined
      ? await embeddedDatabase(dataDir, logger, note, failPoints)
      : givenDatabase(databaseUrl);
  await using _stopDatabase = { [Symbol.asyncDispose]: () => database.stop() };
  if (interrupt.signal.aborted) return;
  if (config.section(AUTH).required) await ensureAdminKey(database.url, resolve(dataDir));
  const running = await startProcess({
    definitions: SERVICES,
    app,
    appDirectory: dirname(path),
    config,
    databaseUrl: database.url,
    port,
    peers: new Map(),
    // One at a time runs on an embedded database, so that the next one may go on at once where a killed one was.
    ...(database.pid === undefined ? {} : { replica: 'dev' }),
    logger,
    failPoints,
    isAlwaysGuarded: false,
  });
  await using _stopServices = { [Symbol.asyncDispose]: () => running.stop(graceMs) };
  const { url } = running.services;
  await directory.publish(url.origin, app.name);
  const seconds = (performance.now() - begun) / 1_000;
  announce({ running, database, dataDir, path, seconds, name: app.name, output });
  await interrupt.wished;
  note('stopping');
}

/** The processes of a killed `tandem up` go on: a second features service beside theirs would do harm. */
async function refuseLeftProcesses(dataDir: string): Promise<void> {
  const left = await readState(dataDir);
  const living = left === undefined ? [] : await livingProcesses(left);
  if (living.length === 0) return;
  throw new PlatformError(
    'CONFLICT',
    `Processes of a 'tandem up' that was killed run on this data directory: ` +
      `${living.map(({ pid }) => String(pid)).join(', ')}. Take them over with 'tandem up', and stop that.`,
  );
}

interface Announcement {
  readonly running: RunningProcess;
  readonly database: Database;
  readonly dataDir: string;
  readonly path: string;
  readonly name: string;
  readonly seconds: number;
  readonly output: Output;
}

function announce({ running, database, dataDir, path, name, seconds, output }: Announcement): void {
  const url = running.services.url.origin;
  const facts = {
    url,
    pid: process.pid,
    app: name,
    file: path,
    dataDir,
    postgresPid: database.pid ?? null,
    seconds,
  };
  if (output.json) return output.result(facts, () => '');
  output.note(
    `tandem dev: ${name} runs at ${url} after ${seconds.toFixed(1)} s (data in ${dataDir}; Ctrl-C stops it)`,
  );
}

async function choosePort(config: Config, note: (text: string) => void): Promise<number> {
  const { host, port, dataDir } = config.section(PROCESS);
  if (port === undefined) return nextFreePort(host, DEV_PORT);
  if (port === 0 || (await isPortFree(host, port))) return port;
  // The port may be taken by the very server that holds the data directory: the claim then says so, and
  // better.
  const holder = await findDev(dataDir);
  if (holder !== undefined) return port;
  note(`port ${String(port)} is taken`);
  throw new PlatformError(
    'CONFIGURATION',
    `--port: ${String(port)} is taken by another process. Choose another one, or none.`,
    {
      details: { port },
    },
  );
}

/** `tandem run`: one service as a process of its own. Runs until it is interrupted. */
export async function run(
  config: Config,
  options: { readonly service: string; readonly peers: readonly string[] },
  output: Output,
): Promise<void> {
  const definition = findService(options.service);
  const peers = readPeers(options.peers);
  const { app: file, dataDir, databaseUrl, graceMs, port, logLevel } = config.section(PROCESS);
  const note = (text: string): void => output.note(`tandem ${definition.name}: ${text}`);
  const { app, path } = await loadApp(file);
  using interrupt = listenForInterrupt(graceMs + STOP_MARGIN_MS, note);
  const logger = createLogger({ level: logLevel ?? 'info', format: process.stderr.isTTY ? 'text' : 'json' });
  const failPoints = openFailPoints(config.section(PROCESS).failPoints, definition.name, logger);
  // Several processes may stand on the embedded database of one data directory: nobody stops it under the
  // others.
  const database =
    databaseUrl === undefined
      ? await embeddedDatabase(dataDir, logger, note, failPoints)
      : givenDatabase(databaseUrl);
  const running = await startProcess({
    definitions: [definition],
    app,
    appDirectory: dirname(path),
    config,
    logger,
    failPoints,
    peers,
    databaseUrl: database.url,
    port: port ?? 0,
    isAlwaysGuarded: true,
  });
  await using _stopServices = { [Symbol.asyncDispose]: () => running.stop(graceMs) };
  announceService(definition, running, output);
  // Now rather than at the end, where it also is: the next process of this service may start before this one ends.
  flushCompileCache();
  // A log must show where a process began; who watches sees the note.
  if (!output.isWatched) logger.info('Started', { service: definition.name, pid: process.pid });
  await stopped(interrupt, logger);
}

function announceService(definition: ServiceDefinition, running: RunningProcess, output: Output): void {
  const url = running.services.url.origin;
  const facts = { service: definition.name, url, pid: process.pid, instance: running.services.instance };
  if (output.json) return output.result(facts, () => '');
  output.note(`tandem ${definition.name}: runs at ${url}`);
}

async function stopped(interrupt: Interrupt, logger: RootLogger): Promise<void> {
  await interrupt.wished;
  logger.info('Stopping');
}

function readPeers(texts: readonly string[]): Map<ServiceName, URL> {
  return new Map(
    texts.map((text) => {
      const [name = '', address = ''] = text.split(/=(.*)/s, 2);
      const { name: known } = findService(name);
      if (!URL.canParse(address) || !/^https?:$/.test(new URL(address).protocol)) {
        throw new PlatformError('CONFIGURATION', `--peer: expected ${known}=http://host:port, got '${text}'`);
      }
      return [known, new URL(address)];
    }),
  );
}
