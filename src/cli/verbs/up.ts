import { flushCompileCache } from 'node:module';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../adapters/system/index.ts';
import { PlatformError, type ServiceName } from '../../contract/index.ts';
import { SERVICE_NAMES } from '../../contract/route.ts';
import type { ReplicaRange } from '../../define/index.ts';
import {
  type Config,
  createLogger,
  createMetrics,
  isPortFree,
  refuseOpenAddress,
} from '../../runtime/index.ts';
import { TLS, tlsIdentity, tlsPeers } from '../access-settings.ts';
import { ensureAdminKey, findKey } from '../admin-key.ts';
import { loadApp } from '../app-file.ts';
import { type ClientOptions, dataDirOf } from '../client.ts';
import { BuildStore } from '../deploy/build-store.ts';
import { Deployed } from '../deploy/deployed.ts';
import { Deployer } from '../deploy/deployer.ts';
import { claimDataDirectory } from '../data-directory.ts';
import { type Database, embeddedDatabase, givenDatabase } from '../database.ts';
import { DEV_PORT, type ReservedPort, reservePort } from '../free-port.ts';
import { listenForInterrupt } from '../interrupt.ts';
import { openFailPoints } from '../fail-points.ts';
import type { Output } from '../output.ts';
import { processStart } from '../process-identity.ts';
import { findService, HTTP, PROCESS, SCALING } from '../settings.ts';
import { CHILD_TIMES, spawnChild } from '../supervisor/child.ts';
import { openControl, startControl } from '../supervisor/control.ts';
import { type Description, loadDescription, readRange, readReplicas } from '../supervisor/description.ts';
import type { WantedReplicas } from '../supervisor/fleet.ts';
import { machineShares } from '../supervisor/machine-limits.ts';
import { supervisorMetrics } from '../supervisor/metrics.ts';
import { openOutside } from '../supervisor/outside.ts';
import { Scaler } from '../supervisor/scaler.ts';
import { compileCache, shareEnvironment } from '../supervisor/shares.ts';
import { askSignals } from '../supervisor/signals.ts';
import {
  livingProcesses,
  type ProcessRecord,
  readState,
  StateFile,
  type UpState,
} from '../supervisor/state-file.ts';
import { SupervisorKey } from '../supervisor/supervisor-key.ts';
import { Supervisor } from '../supervisor/supervisor.ts';

/** What stopping takes beyond the grace of the processes and their end: the database's, in milliseconds. */
const STOP_MARGIN_MS = 10_000;
/** How often `tandem scale` and `tandem restart` look whether it is done, in milliseconds. */
const LOOK_MS = 250;
/** How long `tandem scale` waits, in milliseconds. */
const SCALE_MS_MAX = 120_000;

/** Ports beside 7717 that are tried for the gateway. */
const PORTS_TRIED_MAX = 100;

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
  /** Whether what was deployed counts no more. */
  readonly installed?: boolean;
  readonly insecureHttp?: boolean | undefined;
}

/** `tandem up`: every service as processes of their own, kept running. Runs until it is interrupted. */
export async function up(config: Config, options: UpVerbOptions, output: Output): Promise<void> {
  const begun = performance.now();
  const { app: file, databaseUrl, graceMs, logLevel, ...section } = config.section(PROCESS);
  refuseOpenAddress(section.host, {
    isGuarded: true,
    isPrivate: config.section(HTTP).insecureHttp || (await tlsIdentity(config)) !== undefined,
  });
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
  using gatewayPort = await takeGatewayPort(config, left);
  await ensureAdminKey(database.url, dataDir);
  const stateFile = new StateFile(dataDir, logger);
  const builds = await Deployed.load(dataDir, path, options.installed === true);
  const parameters = ['--data-dir', dataDir, ...passedOn(options)];
  const { services, machine, downAfterSeconds } = description.deployment;
  const registry = createMetrics();
  using _closeMetrics = { [Symbol.dispose]: () => registry.close() };
  const supervisor: Supervisor = new Supervisor({
    identity: { pid: process.pid, started: (await processStart(process.pid)) ?? '' },
    dataDir,
    app: path,
    wanted: wantedReplicas(given, left, description),
    shares: new Map(SERVICE_NAMES.map((service) => [service, services[service]])),
    memoryMax: (service) => (services[service].memoryEnforced ? services[service].memory : undefined),
    machine: machineShares(machine),
    metrics: supervisorMetrics(registry, () => supervisor.state()),
    builds,
    spawn: (service, slot, build) =>
      spawnChild({
        service,
        slot,
        dataDir,
        build,
        parameters: [...parameters, ...placeOf(service, section.host, gatewayPort.port)],
        environment: {
          ...compileCache(dataDir),
          ...environmentOf({ service, description, database, state: supervisor.state() }),
          TANDEM_REPLICA: `${service}-${String(slot)}`,
        },
      }),
    graceMs,
    file: stateFile,
    clock: systemClock(),
    logger,
    failPoints,
  });
  const key = await SupervisorKey.load({
    read: () => findKey({ dataDir }, {}),
    ensure: () => ensureAdminKey(database.url, dataDir),
    peers: await tlsPeers(config.section(TLS)),
    clock: systemClock(),
    logger,
  });
  const deployer = new Deployer({
    get shown() {
      return key.shown;
    },
    supervisor,
    builds,
    store: new BuildStore(dataDir),
    clock: systemClock(),
    logger,
    changed: () => void stateFile.write(supervisor.state()),
  });
  await using control = await startControl(dataDir, { supervisor, deployer, metrics: registry });
  await using _stopProcesses = stopping(supervisor, stateFile);
  await using _stopDeployments = { [Symbol.asyncDispose]: () => deployer.stop() };
  const started = supervisor.start(left).then(() => deployer.resume());
  await supervisor.publish(control.port);
  // Now rather than at the end, which may come without a warning.
  flushCompileCache();
  await using outside = openOutside({
    databaseUrl: database.url,
    openJobsTarget: config.section(SCALING).openJobs,
    logger,
  });
  const scaler = new Scaler({
    services: () => supervisor.scaled(),
    apply: (service, order) => supervisor.order(service, order),
    ask: (url, service) => askSignals(url, service, key),
    outside: () => outside.look(),
    downAfterMs: 1_000 * downAfterSeconds,
    clock: systemClock(),
  });
  await Promise.race([started, interrupt.wished]);
  if (!interrupt.signal.aborted) {
    const seconds = (performance.now() - begun) / 1_000;
    announce({ state: supervisor.state(), seconds, name: app.name, dataDir, output });
    scaler.start();
  }
  await interrupt.wished;
  await scaler.stop();
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

/**
 * Takes the port of the gateway: the one that is given, else that of the gateways of a killed supervisor, which are where
 * callers look for them whether or not they still run, else 7717 or the next free one. Rejects with CONFIGURATION when
 * somebody else has the given one.
 */
async function takeGatewayPort(config: Config, left: UpState | undefined): Promise<ReservedPort> {
  const { host, port } = config.section(PROCESS);
  const living = gatewayPorts(left === undefined ? [] : await livingProcesses(left));
  const [first = DEV_PORT, ...others] = gatewayCandidates(port, living, gatewayPorts(left?.processes ?? []));
  for (const candidate of [first, ...others]) {
    const isOurs = candidate === 0 || living.includes(candidate);
    const reserved = await reservePort(host, candidate);
    if (reserved !== undefined && (isOurs || (await isPortFree(host, candidate)))) return reserved;
    reserved?.[Symbol.dispose]();
  }
  throw new PlatformError(
    'CONFIGURATION',
    `--port: ${String(first)} is taken by another process. Choose another one, or none.`,
    { details: { port: first } },
  );
}

function gatewayPorts(processes: readonly ProcessRecord[]): number[] {
  return processes.flatMap(({ service, url }) =>
    service === 'gateway' && url !== null ? [Number(new URL(url).port)] : [],
  );
}

/** Ports to try, in order. 0: any that stays. */
function gatewayCandidates(
  port: number | undefined,
  living: readonly number[],
  before: readonly number[],
): readonly number[] {
  if (port !== undefined && port !== 0) return [port];
  if (living.length > 0) return living.slice(0, 1);
  if (port === 0) return [...before, 0];
  return [...before, ...Array.from({ length: PORTS_TRIED_MAX + 1 }, (_, index) => DEV_PORT + index)];
}

/**
 * The gateway is the one service that listens where the others on the network can reach it, at an address that stays. Where
 * the system can, its processes share the port, so that one can take the place of another without a gap; elsewhere a second
 * one waits for the first to end.
 */
function placeOf(service: ServiceName, host: string, gatewayPort: number): string[] {
  if (service !== 'gateway') return ['--host', '127.0.0.1', '--port', '0'];
  const shared = process.platform === 'linux' ? ['--set', 'http.reusePort=true'] : [];
  return ['--host', host, '--port', String(gatewayPort), ...shared];
}

function passedOn({ set, clock, insecureHttp }: UpVerbOptions): string[] {
  return [
    ...(insecureHttp === true ? ['--insecure-http'] : []),
    ...(set.length === 0 ? [] : ['--set', ...set]),
    ...(clock === undefined ? [] : ['--clock', clock]),
  ];
}

interface EnvironmentParts {
  readonly service: ServiceName;
  readonly description: Description;
  readonly database: Database;
  readonly state: UpState;
}

function environmentOf({ service, description, database, state }: EnvironmentParts): NodeJS.ProcessEnv {
  const { services } = description.deployment;
  const given = { ...process.env, ...services[service].env };
  return {
    ...connectionsShare(database, description, state),
    ...shareEnvironment(services[service], given),
    DATABASE_URL: database.url,
  };
}

/**
 * What a process may take of the embedded server's connections, unless somebody says otherwise: enough must be left for all
 * that load can call for and the machine has room for. One's own server is another matter: nobody here knows what it has.
 */
function connectionsShare(
  database: Database,
  { deployment }: Description,
  { services }: UpState,
): NodeJS.ProcessEnv {
  if (database.pid === undefined) return {};
  const machine = machineShares(deployment.machine);
  const processes = SERVICE_NAMES.reduce((sum, service) => {
    const { cpu, memory } = deployment.services[service];
    const { min, max } = services[service];
    const room = Math.floor(Math.min(machine.cpu / cpu, machine.memory / memory));
    return sum + Math.max(min, Math.min(max, room));
  }, 0);
  const share = Math.floor(EMBEDDED_CONNECTIONS / Math.max(processes, 1));
  const { least, most } = CONNECTIONS_SHARE;
  return { TANDEM_DATABASE_CONNECTIONS_MAX: String(Math.min(Math.max(share, least), most)) };
}

/** A flag, else what `tandem scale` said to a supervisor that was killed, else the description. */
function wantedReplicas(
  given: ReadonlyMap<ServiceName, ReplicaRange>,
  left: UpState | undefined,
  description: Description,
): Map<ServiceName, WantedReplicas> {
  return new Map(
    SERVICE_NAMES.map((service): [ServiceName, WantedReplicas] => {
      const flag = given.get(service);
      const standard = flag ?? portable(service, description.deployment.services[service].replicas);
      const before = left?.services[service];
      if (before === undefined) return [service, { standard, scaled: null }];
      const { min, max, replicas, scaled } = before;
      return [service, { standard, scaled: scaled && flag === undefined ? { min, max } : null, replicas }];
    }),
  );
}

/** Where processes cannot share a port, load does not call for a second gateway. */
function portable(service: ServiceName, range: ReplicaRange): ReplicaRange {
  if (service !== 'gateway' || process.platform === 'linux') return range;
  return { min: range.min, max: Math.max(range.min, 1) };
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
  const gateway =
    processes.find((record) => record.service === 'gateway' && record.url !== null)?.url ?? null;
  const facts = {
    url: gateway,
    pid: process.pid,
    app: name,
    file: state.app,
    dataDir,
    seconds,
    ready,
    processes,
  };
  if (output.json) return output.result(facts, () => '');
  for (const [service, { held }] of Object.entries(state.services)) {
    if (held !== null) output.note(`tandem up: ${service}: ${held}`);
  }
  const missing = processes.length - ready;
  output.note(
    `tandem up: ${name} runs ${gateway === null ? '' : `at ${gateway} `}as ${String(ready)} processes after ` +
      `${seconds.toFixed(1)} s${missing === 0 ? '' : `, ${String(missing)} are not ready yet`} ` +
      `(data and logs in ${dataDir}; 'tandem status' shows them; Ctrl-C stops them)`,
  );
}

/** `tandem scale`: another number of processes of a service, or range of it; waits until they are ready. */
export async function scale(
  service: string,
  replicas: string,
  options: ClientOptions,
  output: Output,
): Promise<void> {
  const { name } = findService(service);
  const wanted = replicas === 'auto' ? null : readRange(replicas);
  if (wanted === undefined) {
    throw new PlatformError(
      'CONFIGURATION',
      `replicas: expected a number, FEWEST..MOST or auto, got '${replicas}'`,
    );
  }
  const control = await openControl(dataDirOf(options));
  let state = await control.scale(name, wanted);
  for (const begun = performance.now(); !isSettled(state, name); state = await control.state()) {
    if (performance.now() - begun > SCALE_MS_MAX) {
      throw new PlatformError('DEADLINE_EXCEEDED', `${name} is not ready yet; see 'tandem logs ${name}'`);
    }
    output.progress(
      `${name}: ${String(readyOf(state, name))} of ${String(state.services[name]?.replicas)} ready`,
    );
    await sleep(LOOK_MS);
  }
  const held = state.services[name]?.held ?? null;
  output.result(
    processesOf(state, name),
    () => `${name}: ${String(readyOf(state, name))} ready${held === null ? '' : ` (${held})`}`,
  );
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
