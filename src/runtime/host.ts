import { PlatformError, type ServiceName } from '../contract/index.ts';
import type { App } from '../define/index.ts';
import { type AccessOptions, makeAccess } from './auth/index.ts';
import { combinedCaller, declaredCaller } from './caller.ts';
import { Discovery } from './discovery.ts';
import type { FailPoints } from './fail-points.ts';
import {
  type HttpLimits,
  type HttpServer,
  mountHttp,
  type TlsIdentity,
  type TlsPeers,
} from './http/index.ts';
import type { RootLogger } from './logger.ts';
import type { MetricsRegistry } from './metrics.ts';
import type {
  Clock,
  Commands,
  Compute,
  ConsumerGroups,
  EventLog,
  Instances,
  Jobs,
  Keys,
  MigrationSet,
  Objects,
  OutsideTables,
  Random,
  Signals,
  SpanExporter,
  Tables,
  Threads,
  Warehouse,
} from './ports/index.ts';
import { RecentLevel } from './recent.ts';
import { during, metered, type ScalingTargets } from './scaling.ts';
import { ExportQueue, NO_TRACE, traceOptions, type TraceOptions, Tracer } from './trace/index.ts';
import { tracedJobs } from './trace/traced-jobs.ts';
import { tracedLog } from './trace/traced-log.ts';
import type { Caller, Logger, Readiness, RunningService, ServiceDefinition, ServiceHost } from './service.ts';

/** The ports that services are given. */
export interface Ports {
  readonly clock: Clock;
  readonly random: Random;
  readonly tables: Tables;
  readonly signals: Signals;
  readonly log: EventLog;
  readonly groups: ConsumerGroups;
  readonly jobs: Jobs;
  readonly instances: Instances;
  readonly keys: Keys;
  readonly objects: Objects;
  readonly warehouse: Warehouse;
  readonly outsideTables: OutsideTables;
  readonly compute: Compute;
  readonly threads: Threads;
  /** Absent where no commands are run. */
  readonly commands?: Commands | undefined;
  readonly failPoints: FailPoints;
}

export interface StartOptions {
  readonly app: App;
  /** Validated options of each service; a service that is not in it gets the defaults of its schema. */
  readonly serviceOptions: ReadonlyMap<ServiceName, unknown>;
  /** Base addresses of services that run elsewhere; those without one are discovered. */
  readonly peers: ReadonlyMap<ServiceName, URL>;
  /** Who may use the port. */
  readonly access: AccessOptions;
  /** Brings the tables of the services up to date before any of them starts. */
  readonly migrate: (sets: readonly MigrationSet[]) => Promise<void>;
  readonly http: {
    readonly host: string;
    /** Name or address under which others reach it. Default: `host`. */
    readonly advertisedHost?: string | undefined;
    readonly port: number;
    readonly limits: HttpLimits;
    readonly tls?: TlsIdentity | undefined;
    /** What other processes must show that speak TLS. */
    readonly peers?: TlsPeers | undefined;
  };
  /** The platform's version, for /openapi.json. */
  readonly version: string;
  /** What this process is a build of. Default: not known, and nothing is said of it. */
  readonly build?: BuildInfo;
  /** Name of this replica that outlives restarts. Default: none, so that each start is a replica of its own. */
  readonly replica?: string | undefined;
  readonly logger: RootLogger;
  readonly metrics: MetricsRegistry;
  /** What is kept of traces. Default: that of the schema. */
  readonly trace?: TraceOptions | undefined;
  /** Where traces are exported to. Default: nowhere. */
  readonly spanExporter?: SpanExporter | undefined;
  /** Targets of the scaling signals, where they are not those of the table. */
  readonly scalingTargets?: ScalingTargets;
}

/** What a process says about the build that it runs. */
export interface BuildInfo {
  /** Short name of the build; every answer carries it in `x-tandem-build`. */
  readonly id: string;
  /** Hash of its contract, asked for when somebody wants to know: it takes 0.1 s of CPU, which no start should. */
  readonly contract: () => Promise<string>;
}

/** Services that run in this process, on one port. */
export interface RunningServices {
  readonly url: URL;
  readonly instance: string;
  readonly names: readonly ServiceName[];
  /** Calls any service: those of this process as functions, the others at their addresses. */
  readonly call: Caller;
  /** What `/readyz` asks. */
  ready(): Promise<ReadonlyMap<ServiceName, Readiness>>;
  /**
   * Says to all callers that it leaves and answers those that do not know yet, for a while; then takes no new
   * request, answers those that came, stops the services in reverse order and closes. What is not done within
   * `graceMs` is cut off. Calling it again waits for the same end. It does not close the
   * ports.
   */
  stop(graceMs: number): Promise<void>;
  /** Shows another certificate to connections to come. */
  readonly renewTls: (identity: TlsIdentity) => void;
}

/** Share of the grace period in which services hand over to other replicas, at most. */
const LEAVE_SHARE = 0.25;
/** Share of the grace period in which requests are still taken, at most. */
const DRAIN_SHARE = 0.25;
/** Share of the grace period that requests have to end; the rest is for what services do behind them. */
const REQUESTS_SHARE = 0.6;

/**
 * Starts services and serves them on one port. They start one after another in the given order, which does
 * not matter to them: a service finds out at a call, not at its start, whether another one is there. If one
 * fails to start, those that did are stopped again and its error is thrown.
 */
export async function startServices(
  definitions: readonly ServiceDefinition[],
  ports: Ports,
  options: StartOptions,
): Promise<RunningServices> {
  const { logger } = options;
  const instance = ports.random.id();
  const running = new Map<ServiceName, RunningService>();
  const names = definitions.map(({ name }) => name);
  const { clock, random } = ports;
  const tracer = makeTracer(ports, options);
  const discovery = new Discovery({ ...ports, logger });
  const peers = new Map(
    [...options.peers].map(([name, url]): [ServiceName, readonly URL[]] => [name, [url]]),
  );
  const access = await makeAccess(
    options.access,
    { instance, names },
    { ...ports, discovery, logger, metrics: options.metrics },
  );
  const caller = combinedCaller(running, new Set(names), {
    addresses: (service) => peers.get(service) ?? discovery.addresses(service),
    addressOf: (service, id) => discovery.addressOf(service, id),
    clock,
    random,
    tracer,
    authorize: access.authorize,
    peers: options.http.peers,
    need: (service) => ports.instances.need(service),
    subscribe: (listener) => discovery.subscribe(listener),
  });
  let http: HttpServer | undefined;
  const stop = once(async (graceMs: number) => {
    const begun = clock.monotonic();
    const end = begun + graceMs;
    for (const [name, service] of running) {
      const left = service.leave?.(graceMs * LEAVE_SHARE);
      if (left !== undefined)
        await guarded(logger, `the leave of ${name}`, () => within(clock, graceMs * LEAVE_SHARE, left));
    }
    const { drainMs } = options.http.limits;
    const drained = http?.drain(Math.min(drainMs, graceMs * DRAIN_SHARE));
    // Calls come until their callers have learnt it, and are answered until then.
    await guarded(logger, 'the announcement', () =>
      within(clock, graceMs * DRAIN_SHARE, discovery.withdraw()),
    );
    await guarded(logger, 'the taking of requests', () => drained);
    await guarded(logger, 'the HTTP server', () =>
      http?.stop(Math.max(0, begun + graceMs * REQUESTS_SHARE - clock.monotonic())),
    );
    for (const [name, service] of [...running].reverse()) {
      const leftMs = Math.max(0, end - clock.monotonic());
      await guarded(logger, `the ${name} service`, () => within(clock, leftMs, service.stop(leftMs)));
      running.delete(name);
    }
    await guarded(logger, 'the connections to other services', () => caller.close());
    await guarded(logger, 'access', () => access.stop());
    await guarded(logger, 'discovery', () => discovery.stop());
    await guarded(logger, 'the export of traces', () => tracer?.close());
  });
  try {
    await options.migrate(definitions.map(({ migrations }) => migrations));
    await discovery.start();
    await access.start();
    const passing = new RecentLevel(clock);
    for (const definition of definitions) {
      const call = declaredCaller(definition.name, definition.calls ?? [], caller.call);
      const host = hostOf(definition, ports, options, {
        instance,
        peers: (service) => discovery.instances(service),
        call,
        tracer,
        reachable: () => discovery.services(),
      });
      const service = await definition.start(host);
      const { metrics, scalingTargets: targets } = options;
      running.set(definition.name, metered(definition.name, service, { clock, metrics, targets, passing }));
    }
    http = await mountHttp(running, {
      ...options.http,
      forward: (work) => during(passing, () => caller.forward(work)),
      gate: access.gate,
      info: { title: `Tandem: ${options.app.name}`, version: options.version },
      ...(options.build === undefined ? {} : { build: options.build }),
      clock,
      random,
      logger,
      metrics: options.metrics,
      tracer,
    });
    const { href } = advertisedUrl(http.url, options.http.advertisedHost);
    const key = access.publicKey === undefined ? {} : { key: access.publicKey };
    const { build } = options;
    const about = build === undefined ? {} : { build: build.id };
    await discovery.announce(
      names.map((service) => ({ service, id: instance, url: href, ...about, ...key })),
      async (service) => (await running.get(service)?.ready())?.ready === true,
    );
  } catch (error) {
    await stop(0);
    throw error;
  }
  const { url, renewTls } = http;
  return { renewTls, url, instance, names, call: caller.call, ready: () => askAll(running), stop };
}

function advertisedUrl(url: URL, name: string | undefined): URL {
  const advertised = new URL(url);
  if (name !== undefined) advertised.hostname = name.includes(':') ? `[${name}]` : name;
  return advertised;
}

function hostOf(
  definition: ServiceDefinition,
  ports: Ports,
  options: StartOptions,
  own: Pick<ServiceHost, 'instance' | 'peers' | 'call' | 'reachable'> & {
    readonly tracer: Tracer | undefined;
  },
): ServiceHost {
  const { name } = definition;
  const { instance, peers, call, tracer, reachable } = own;
  return {
    ...ports,
    ...(tracer === undefined
      ? {}
      : { log: tracedLog(ports.log, tracer, name), jobs: tracedJobs(ports.jobs, tracer, name) }),
    instance,
    replica: options.replica ?? instance,
    peers,
    call,
    reachable,
    trace: tracer?.of(name) ?? NO_TRACE,
    app: options.app,
    options: options.serviceOptions.get(name) ?? Object.freeze(definition.options.parse({})),
    logger: options.logger.with({ service: name }),
    metrics: options.metrics.of(name),
  };
}

/** `undefined` when nothing is to be kept. */
function makeTracer({ clock, random }: Ports, options: StartOptions): Tracer | undefined {
  const { logger, metrics, spanExporter: exporter } = options;
  const trace = options.trace ?? traceOptions.parse({});
  if (trace.spansMax === 0) return undefined;
  const parts = { clock, logger, metrics: metrics.of('trace'), queueMax: trace.queueMax };
  const queue = exporter === undefined ? undefined : new ExportQueue({ ...parts, exporter });
  return new Tracer({ clock, random, options: trace, queue });
}

async function askAll(
  running: ReadonlyMap<ServiceName, RunningService>,
): Promise<Map<ServiceName, Readiness>> {
  const ask = async ([name, service]: [ServiceName, RunningService]): Promise<[ServiceName, Readiness]> => {
    try {
      return [name, await service.ready()];
    } catch (error) {
      return [
        name,
        { ready: false, reason: PlatformError.is(error) ? error.message : 'it failed to answer' },
      ];
    }
  };
  return new Map(await Promise.all([...running].map(ask)));
}

/** A part that fails to stop must not keep the others from stopping. */
async function guarded(logger: Logger, what: string, stop: () => Promise<void> | undefined): Promise<void> {
  try {
    await stop();
  } catch (error) {
    logger.error(`Stopping ${what} failed`, { error });
  }
}

/** Waits for the work, but a little longer than it was given at most. */
async function within(clock: Clock, graceMs: number, work: Promise<void>): Promise<void> {
  const over = new AbortController();
  const late = clock.sleep(graceMs + LATE_MS, over.signal).then(() => {
    if (!over.signal.aborted) throw new Error(`It did not stop within ${String(Math.round(graceMs))} ms`);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    over.abort();
  }
}

/** How much longer than its grace a service is waited for, in milliseconds. */
const LATE_MS = 500;

function once(work: (graceMs: number) => Promise<void>): (graceMs: number) => Promise<void> {
  let done: Promise<void> | undefined;
  return (graceMs) => (done ??= work(graceMs));
}
