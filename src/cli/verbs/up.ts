import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../adapters/system/index.ts';
import { PlatformError, type ServiceName } from '../../contract/index.ts';
import { SERVICE_NAMES } from '../../contract/route.ts';
import { type Config, createLogger } from '../../runtime/index.ts';
import { loadApp } from '../app-file.ts';
import { type ClientOptions, dataDirOf } from '../client.ts';
import { claimDataDirectory } from '../data-directory.ts';
import { type Database, embeddedDatabase, givenDatabase } from '../database.ts';
import { listenForInterrupt } from '../interrupt.ts';
import { openFailPoints } from '../fail-points.ts';
import type { Output } from '../output.ts';
import { processStart } from '../process-identity.ts';
import { findService, PROCESS } from '../settings.ts';
import { CHILD_TIMES, spawnChild } from '../supervisor/child.ts';
import { openControl, startControl } from '../supervisor/control.ts';
import { type Description, loadDescription, readReplicas } from '../supervisor/description.ts';
import { readState, StateFile, type UpState } from '../supervisor/state-file.ts';
import { Supervisor, type WantedReplicas } from '../supervisor/supervisor.ts';

/** What stopping takes beyond the grace of the processes and their end: the database's, in milliseconds. */
const STOP_MARGIN_MS = 10_000;
/** How often `tandem scale` and `tandem restart` look whether it is done, in milliseconds. */
const LOOK_MS = 250;
/** How long `tandem scale` waits, in milliseconds. */
const SCALE_MS_MAX = 120_000;

/** Connections of the embedded server that are for services; the rest is for whoever looks after it. */
const EMBEDDED_CONNECTIONS = 90;
/** Bounds of what one process takes of them. */
const CONNECTIONS_SHARE = { least: 3, most: 20 } as const;

export interface UpVerbOptions {
  /** Numbers of processes, as `serve=2`. */
  readonly replicas: readonly string[];
  /** Options of the services, passed on as `tandem run` takes them. */
  readonly set: readonly string[];
  readonly clock?: string | undefined;
}

/** `tandem up`: every service as processes of their own, kept running. Runs until it is interrupted. */
export async function up(config: Config, options: UpVerbOptions, output: Output): Promise<void> {
  const begun = performance.now();
  const { app: file, databaseUrl, graceMs, logLevel, ...section } = config.section(PROCESS);
  const given = readReplicas(options.replicas);
  const note = (text: string): void => output.note(`tandem up: ${text}`);
  const { app, path } = await loadApp(file);
  const description = await loadDescription(path);
  const dataDir = resolve(section.dataDir);
  await using _directory = await claimDataDirectory(dataDir, 'up');
  using interrupt = listenForInterrupt(graceMs + CHILD_TIMES.endMarginMs + STOP_MARGIN_MS, note);
  const logger = createLogger({
    level: logLevel ?? (output.isWatched ? 'warn' : 'info'),
    format: process.stderr.isTTY ? 'text' : 'json',
  });
  const failPoints = openFailPoints(section.failPoints, 'up', logger);
  const left = await readState(dataDir);
  const database =
    databaseUrl === undefined
      ? await embeddedDatabase(dataDir, logger, note, failPoints)
      : givenDatabase(databaseUrl);
  await using _stopDatabase = { [Symbol.asyncDispose]: () => database.stop() };
  if (interrupt.signal.aborted) return;
  const stateFile = new StateFile(dataDir, logger);
  const parameters = ['--app', path, '--data-dir', dataDir, '--host', section.host, ...passedOn(options)];
  const supervisor = new Supervisor({
    identity: { pid: process.pid, started: (await processStart(process.pid)) ?? '' },
    app: path,
    wanted: wantedReplicas(given, left, description),
    spawn: (service, slot) =>
      spawnChild({
        service,
        slot,
        dataDir,
        parameters,
        environment: environmentOf(service, description, database, supervisor.state()),
      }),
    graceMs,
    file: stateFile,
    clock: systemClock(),
    logger,
    failPoints,
  });
  await using control = await startControl(dataDir, supervisor);
  await using _stopProcesses = stopping(supervisor, stateFile);
  const started = supervisor.start(left);
  await supervisor.publish(control.port);
  await Promise.race([started, interrupt.wished]);
  if (!interrupt.signal.aborted) {
    const seconds = (performance.now() - begun) / 1_000;
    announce({ state: supervisor.state(), seconds, name: app.name, dataDir, output });
  }
  await interrupt.wished;
  note('stopping');
}

/** Ends the processes when the verb ends, and with SIGKILL when this process is told to end meanwhile. */
function stopping(supervisor: Supervisor, file: StateFile): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      const kill = (): void => supervisor.kill();
      process.on('exit', kill);
      await supervisor.stop();
      process.off('exit', kill);
      await file.remove();
    },
  };
}

function passedOn({ set, clock }: UpVerbOptions): string[] {
  return [...(set.length === 0 ? [] : ['--set', ...set]), ...(clock === undefined ? [] : ['--clock', clock])];
}

function environmentOf(
  service: ServiceName,
  description: Description,
  database: Database,
  state: UpState,
): NodeJS.ProcessEnv {
  const { env } = description.deployment.services[service];
  return { ...connectionsShare(database, state), ...process.env, ...env, DATABASE_URL: database.url };
}

/**
 * What a process may take of the embedded server's connections, unless somebody says otherwise. One's own server
 * is another matter: nobody here knows what it has.
 */
function connectionsShare(database: Database, { services }: UpState): NodeJS.ProcessEnv {
  if (database.pid === undefined) return {};
  const processes = Object.values(services).reduce((sum, { replicas }) => sum + replicas, 0);
  const share = Math.floor(EMBEDDED_CONNECTIONS / Math.max(processes, 1));
  const { least, most } = CONNECTIONS_SHARE;
  return { TANDEM_DATABASE_CONNECTIONS_MAX: String(Math.min(Math.max(share, least), most)) };
}

/** A flag, else what `tandem scale` said to a supervisor that was killed, else the description. */
function wantedReplicas(
  given: ReadonlyMap<ServiceName, number>,
  left: UpState | undefined,
  description: Description,
): Map<ServiceName, WantedReplicas> {
  return new Map(
    SERVICE_NAMES.map((service): [ServiceName, WantedReplicas] => {
      const flag = given.get(service);
      if (flag !== undefined) return [service, { replicas: flag, scaled: false }];
      const before = left?.services[service];
      if (before?.scaled === true) return [service, { replicas: before.replicas, scaled: true }];
      return [service, { replicas: description.deployment.services[service].replicas, scaled: false }];
    }),
  );
}

interface Announcement {
  readonly state: UpState;
  readonly seconds: number;
  readonly name: string;
  readonly dataDir: string;
  readonly output: Output;
}

function announce({ state, seconds, name, dataDir, output }: Announcement): void {
  const { processes } = state;
  const ready = processes.filter((record) => record.state === 'ready').length;
  const facts = { pid: process.pid, app: name, file: state.app, dataDir, seconds, ready, processes };
  if (output.json) return output.result(facts, () => '');
  const missing = processes.length - ready;
  output.note(
    `tandem up: ${String(ready)} processes of ${name} run after ${seconds.toFixed(1)} s` +
      `${missing === 0 ? '' : `, ${String(missing)} are not ready yet`} ` +
      `(data and logs in ${dataDir}; 'tandem status' shows them; Ctrl-C stops them)`,
  );
}

/** `tandem scale`: another number of processes of a service; waits until they are ready. */
export async function scale(
  service: string,
  replicas: string,
  options: ClientOptions,
  output: Output,
): Promise<void> {
  const { name } = findService(service);
  if (!/^\d+$/.test(replicas)) {
    throw new PlatformError('CONFIGURATION', `replicas: expected a whole number, got '${replicas}'`);
  }
  const control = await openControl(dataDirOf(options));
  let state = await control.scale(name, Number(replicas));
  for (const begun = performance.now(); !isSettled(state, name); state = await control.state()) {
    if (performance.now() - begun > SCALE_MS_MAX) {
      throw new PlatformError('DEADLINE_EXCEEDED', `${name} is not ready yet; see 'tandem logs ${name}'`);
    }
    output.progress(`${name}: ${String(readyOf(state, name))} of ${replicas} ready`);
    await sleep(LOOK_MS);
  }
  output.result(processesOf(state, name), () => `${name}: ${replicas} ready`);
}

/** `tandem restart`: replaces the processes of a service one by one; waits until that is done. */
export async function restart(service: string, options: ClientOptions, output: Output): Promise<void> {
  const { name } = findService(service);
  const control = await openControl(dataDirOf(options));
  let state = await control.restart(name);
  for (; state.services[name]?.restarting === true; state = await control.state()) {
    output.progress(
      `${name}: ${processesOf(state, name)
        .map((record) => record.state)
        .join(', ')}`,
    );
    await sleep(LOOK_MS);
  }
  const problem = state.services[name]?.problem ?? null;
  if (problem !== null) throw new PlatformError('UNAVAILABLE', `${name}: ${problem}`);
  output.result(processesOf(state, name), () => `${name}: ${String(readyOf(state, name))} replaced`);
}

function processesOf(state: UpState, service: ServiceName): UpState['processes'] {
  return state.processes.filter((record) => record.service === service);
}

function readyOf(state: UpState, service: ServiceName): number {
  return processesOf(state, service).filter((record) => record.state === 'ready').length;
}

function isSettled(state: UpState, service: ServiceName): boolean {
  const wanted = state.services[service]?.replicas;
  return processesOf(state, service).length === wanted && readyOf(state, service) === wanted;
}
