import type { z } from 'zod';
import type {
  AnyRoute,
  InputOf,
  PlatformError,
  Principal,
  ResultOf,
  ScalingSignalName,
  ServiceName,
} from '../contract/index.ts';
import type { App } from '../define/index.ts';
import type { FailPoints } from './fail-points.ts';
import type {
  Clock,
  Commands,
  Compute,
  ConsumerGroups,
  EventLog,
  Instance,
  Jobs,
  Keys,
  MigrationSet,
  Objects,
  OutsideTables,
  Random,
  Signals,
  Tables,
  Threads,
  Trace,
  Warehouse,
} from './ports/index.ts';

/** What a handler knows about the call beside its input. */
export interface CallContext {
  readonly requestId: string;
  /** Who calls: for records of who did what, and for nothing else: whether he may was decided before. */
  readonly principal: Principal;
  /** When the caller stops waiting, by {@link Clock.monotonic}. */
  readonly deadlineMs: number;
  /** Aborted when the caller went away or the deadline passed. */
  readonly signal: AbortSignal;
}

/** The body of a route whose `body` schema is `z.unknown()`: raw bytes with their media type. */
export interface RawBody {
  /** Media type without parameters, in lower case, e.g. `application/x-ndjson`. */
  readonly mediaType: string;
  /** Decoded when the request was compressed. Rejects with a PlatformError when it cannot be decoded. */
  readonly chunks: AsyncIterable<Uint8Array>;
  /**
   * All of it at once, where it is small and comes as it is: that spares a small request the machinery of streams, a quarter
   * of its CPU. `arrived` is told of every chunk and may throw to refuse it. Ask for this or for the chunks, not for both.
   */
  readonly whole?: ((arrived: (bytes: number) => void) => Promise<Uint8Array>) | undefined;
}

export interface HandlerEntry {
  readonly route: AnyRoute;
  readonly handle: (input: unknown, context: CallContext) => Promise<unknown>;
}

/** Binds a handler to its route, with types. */
export function handler<TRoute extends AnyRoute>(
  route: TRoute,
  handle: (input: InputOf<TRoute>, context: CallContext) => Promise<ResultOf<TRoute>>,
): HandlerEntry {
  return { route, handle: handle as HandlerEntry['handle'] };
}

export interface CallOptions {
  /** How long to wait, in milliseconds. Default: the route's. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Call this instance of the service and no other, over HTTP and with one try. UNAVAILABLE when it is not known. */
  readonly instance?: string;
}

/** Calls another service by route: a function call in one process, HTTP otherwise. Rejects with PlatformErrors only. */
export type Caller = <TRoute extends AnyRoute>(
  route: TRoute,
  input: InputOf<TRoute>,
  options?: CallOptions,
) => Promise<ResultOf<TRoute>>;

export interface Logger {
  info(message: string, facts?: Readonly<Record<string, unknown>>): void;
  warn(message: string, facts?: Readonly<Record<string, unknown>>): void;
  error(message: string, facts?: Readonly<Record<string, unknown>>): void;
}

export interface Counter {
  add(amount?: number, labels?: Readonly<Record<string, string>>): void;
}
export interface Gauge {
  set(value: number, labels?: Readonly<Record<string, string>>): void;
}
export interface Histogram {
  observe(value: number, labels?: Readonly<Record<string, string>>): void;
}

/** Metrics of one service: names get the service's name in front (`features_lag_records`). Same name, same metric. */
export interface Metrics {
  counter(name: string, help: string, labels?: readonly string[]): Counter;
  gauge(name: string, help: string, labels?: readonly string[]): Gauge;
  /** `buckets`: upper bounds. Default: latencies in seconds from 0.5 ms to 10 s. */
  histogram(name: string, help: string, labels?: readonly string[], buckets?: readonly number[]): Histogram;
}

/** Everything a service is given. It reaches the world through nothing else. */
export interface ServiceHost<TOptions = unknown> {
  readonly app: App;
  readonly options: TOptions;
  /** Unique for each start of a process; owner of leases. */
  readonly instance: string;
  /** Name of this replica: the same after a restart where the process was given one, else the instance. */
  readonly replica: string;
  /** Live instances of a service, as last known. This process is among them once its services have started. */
  readonly peers: (service: ServiceName) => readonly Instance[];
  readonly clock: Clock;
  readonly random: Random;
  readonly tables: Tables;
  readonly signals: Signals;
  readonly log: EventLog;
  readonly groups: ConsumerGroups;
  readonly jobs: Jobs;
  readonly objects: Objects;
  readonly warehouse: Warehouse;
  /** Tables of other systems, for sources that are polled. */
  readonly outsideTables: OutsideTables;
  readonly compute: Compute;
  readonly threads: Threads;
  /** Absent where no commands are run. */
  readonly commands?: Commands | undefined;
  /** Where the service says that it passes a point that a chaos run may have armed. */
  readonly failPoints: FailPoints;
  readonly call: Caller;
  /** API keys of the deployment; the gateway alone changes them. */
  readonly keys: Keys;
  /** Services of which an instance is known at this moment. */
  readonly reachable: () => ReadonlySet<ServiceName>;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly trace: Trace;
}

export interface Readiness {
  readonly ready: boolean;
  /** Why not, in words. */
  readonly reason?: string;
  /** While it gets ready: a number that changes as long as it comes nearer. Whoever waits may wait longer then. */
  readonly progress?: number;
}

/** Whether one more request of somebody is answered. */
export interface Admission {
  /** Headers of the answer that say what is left. */
  readonly headers: Readonly<Record<string, string>>;
  /** Why not. */
  readonly refusal?: PlatformError;
}

export interface RunningService {
  readonly handlers: readonly HandlerEntry[];
  /** Routes of other services that this one passes on to them, as they come. Default: none. */
  readonly forwards?: readonly AnyRoute[];
  /** Asked about each request of people and applications to this process, for whichever service. Default: no limit. */
  readonly admit?: (principal: Principal) => Admission;
  /** Whether the service can do its job now; asked at every `/readyz`. */
  ready(): Promise<Readiness>;
  /** Numbers by which the service is scaled, besides requests in flight; asked whenever metrics are read. */
  scalingSignals?(): Readonly<Partial<Record<ScalingSignalName, number>>>;
  /**
   * Hands over to other replicas what they can take, while calls still arrive and are answered; before {@link stop}. Others
   * must be able to go on without it, for a crash does not ask.
   */
  leave?(graceMs: number): Promise<void>;
  /** Refuses new work, finishes or hands over what runs within `graceMs`, and frees everything. */
  stop(graceMs: number): Promise<void>;
}

/** A service as a value. */
export interface ServiceDefinition<TOptions = unknown> {
  readonly name: ServiceName;
  readonly summary: string;
  /** Its configuration: unknown names are errors; set by `TANDEM_<SERVICE>_<OPTION>` in the environment. */
  readonly options: z.ZodType<TOptions>;
  readonly migrations: MigrationSet;
  /** Routes of other services that it calls; any other call is refused. Default: none. */
  readonly calls?: readonly AnyRoute[];
  /** Loads what the service is made of, and starts it: every process loads the definitions of all services. */
  start(host: ServiceHost<TOptions>): Promise<RunningService>;
}
