import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { duckdbWarehouse } from '../../src/adapters/duckdb/index.ts';
import { directoryObjects } from '../../src/adapters/objects/index.ts';
import { openPostgres, type Postgres, postgresOutsideTables } from '../../src/adapters/postgres/index.ts';
import { systemClock, systemRandom } from '../../src/adapters/system/index.ts';
import { workerThreads } from '../../src/adapters/threads/index.ts';
import { type AnyRoute, PlatformError, type Route, type ServiceName } from '../../src/contract/index.ts';
import type { App } from '../../src/define/index.ts';
import type {
  Caller,
  CallOptions,
  Instance,
  Objects,
  RunningService,
  ServiceDefinition,
  ServiceHost,
  Warehouse,
} from '../../src/runtime/index.ts';
import { NO_TRACE, noFailPoints } from '../../src/runtime/index.ts';
import { createMetrics, type MetricsRegistry } from '../../src/runtime/metrics.ts';
import { featuresThreads } from '../../src/services/features/index.ts';
import { freshDatabase } from '../conformance/embedded-server.ts';

/** A line of the log. */
export interface Warning {
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A database, an object store and a warehouse of a test's own, on which services can be started and crashed. */
export interface TestWorld extends AsyncDisposable {
  readonly postgres: Postgres;
  readonly objects: Objects;
  readonly warehouse: Warehouse;
  /** Of all services of this world together. */
  readonly metrics: MetricsRegistry;
  /** What they warned of. */
  readonly warnings: readonly Warning[];
  /**
   * Starts a service as the composition root would. Calls that name an instance reach the service of that instance; all
   * others go to `call`. `replica`: its stable name (default: its instance).
   */
  start<TOptions>(
    definition: ServiceDefinition<TOptions>,
    app: App,
    options?: Record<string, unknown>,
    call?: Caller,
    replica?: string,
  ): Promise<RunningService>;
  /** From now on nothing that the service asks of the world is answered, and it answers nobody: as if it had stopped. */
  pause(service: RunningService): void;
  /** Everything goes on where it was. */
  resume(service: RunningService): void;
  /** As a pause without an end; calls to it fail at once. */
  crash(service: RunningService): void;
}

/** What keeps a paused service from the world. */
class Gate {
  #opened: Promise<void> | undefined;
  #open: () => void = () => undefined;
  crashed = false;

  close(): void {
    this.#opened ??= new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  open(): void {
    this.#opened = undefined;
    this.#open();
  }

  /** Resolves once the gate is open. */
  async pass(): Promise<void> {
    while (this.#opened !== undefined) await this.#opened;
  }

  /** The port with calls and answers that wait at the gate. */
  guard<TPort extends object>(port: TPort): TPort {
    return new Proxy(port, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== 'function') return member;
        return async (...parameters: unknown[]): Promise<unknown> => {
          await this.pass();
          const result: unknown = await Reflect.apply(member, target, parameters);
          await this.pass();
          return result;
        };
      },
    });
  }
}

interface Started {
  readonly instance: Instance;
  readonly gate: Gate;
  readonly service: RunningService;
}

export interface TestWorldOptions {
  /** Threads that keep feature state, in every features service of this world that is not told otherwise. Default 0. */
  readonly threads?: number;
}

export async function testWorld({ threads = 0 }: TestWorldOptions = {}): Promise<TestWorld> {
  const directory = await mkdtemp(join(tmpdir(), 'tandem-world-'));
  const database = await freshDatabase();
  const postgres = await openPostgres(database.url, { applicationName: 'test', connectionsMax: 8 });
  const metrics = createMetrics();
  const objects = directoryObjects(join(directory, 'objects'));
  const warehouse = duckdbWarehouse({ directory: join(directory, 'warehouse') });
  const outsideTables = postgresOutsideTables({ environment: process.env, applicationName: 'test poll' });
  let instances = 0;
  const warnings: Warning[] = [];
  const running = new Map<RunningService, Started>();
  const gateOf = (service: RunningService): Gate => {
    const gate = running.get(service)?.gate;
    if (gate === undefined) throw new Error('this world has not started that service');
    return gate;
  };
  return {
    postgres,
    objects,
    warehouse,
    metrics,
    warnings,
    pause: (service) => gateOf(service).close(),
    resume: (service) => gateOf(service).open(),
    crash(service) {
      const gate = gateOf(service);
      gate.close();
      gate.crashed = true;
    },
    async start(definition, app, options = {}, call = unavailable, replica?) {
      await postgres.migrate([definition.migrations]);
      instances += 1;
      const id = `test-${String(instances)}`;
      const gate = new Gate();
      const clock = systemClock();
      const host = {
        app,
        options: definition.options.parse(
          definition.name === 'features' && threads > 0 ? { threads, ...options } : options,
        ),
        instance: id,
        replica: replica ?? id,
        peers: (service) =>
          [...running.values()].map(({ instance }) => instance).filter((item) => item.service === service),
        clock: {
          now: () => clock.now(),
          monotonic: () => clock.monotonic(),
          async sleep(ms, signal) {
            await clock.sleep(ms, signal);
            await gate.pass();
          },
        },
        random: systemRandom(),
        tables: gate.guard(postgres.tables),
        signals: postgres.signals,
        log: gate.guard(postgres.log),
        groups: gate.guard(postgres.groups),
        jobs: postgres.jobs,
        keys: postgres.keys,
        reachable: () => new Set<ServiceName>(),
        objects: gate.guard(objects),
        warehouse,
        outsideTables: gate.guard(outsideTables),
        compute: { run: () => Promise.reject(new Error('no compute in this test')) },
        threads: workerThreads(featuresThreads),
        call: instanceCaller(running, call),
        failPoints: noFailPoints,
        logger: {
          info: () => undefined,
          warn: (message, fields = {}) => void warnings.push({ message, fields }),
          error: () => undefined,
        },
        metrics: metrics.of(definition.name),
        trace: NO_TRACE,
      } satisfies ServiceHost;
      const service = await definition.start(host);
      const stop = async (graceMs: number): Promise<void> => {
        await service.stop(graceMs);
        running.delete(stoppable);
      };
      const stoppable: RunningService = { ...service, stop };
      running.set(stoppable, {
        instance: { service: definition.name, id, url: `http://${id}.invalid/` },
        gate,
        service,
      });
      return stoppable;
    },
    async [Symbol.asyncDispose]() {
      await outsideTables[Symbol.asyncDispose]();
      await postgres.close();
      metrics.close();
      await database[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Calls that name an instance of this world; one that is paused answers when it goes on. */
function instanceCaller(running: ReadonlyMap<RunningService, Started>, others: Caller): Caller {
  const call = async (route: AnyRoute, input: unknown, options: CallOptions = {}): Promise<unknown> => {
    const { instance, timeoutMs = route.timeoutMs, signal } = options;
    if (instance === undefined)
      return (others as (...parameters: unknown[]) => Promise<unknown>)(route, input, options);
    const found = [...running.values()].find((item) => item.instance.id === instance);
    if (found === undefined || found.gate.crashed)
      throw new PlatformError('UNAVAILABLE', `no instance ${instance}`);
    const over = new AbortController();
    const late = systemClock()
      .sleep(timeoutMs, signal === undefined ? over.signal : AbortSignal.any([over.signal, signal]))
      .then(() => {
        throw new PlatformError('DEADLINE_EXCEEDED', `${route.name} was not done in time`);
      });
    late.catch(() => undefined);
    const answer = async (): Promise<unknown> => {
      await found.gate.pass();
      const sent = structuredClone(input) as Parameters<typeof callRoute>[2];
      return callRoute(found.service, route, sent);
    };
    try {
      return await Promise.race([answer(), late]);
    } finally {
      over.abort();
    }
  };
  return call as Caller;
}

const unavailable: Caller = () =>
  Promise.reject(new PlatformError('UNAVAILABLE', 'no other service in this test'));

/** Calls a route of a running service and checks the answer against its schema. */
export async function callRoute<TParams, TQuery, TBody, TResult>(
  service: RunningService,
  route: Route<TParams, TQuery, TBody, TResult>,
  input: { readonly params?: unknown; readonly query?: unknown; readonly body?: unknown },
): Promise<TResult> {
  const entry = service.handlers.find((item) => item.route.name === route.name);
  if (entry === undefined) throw new Error(`no handler for ${route.name}`);
  const parsed = {
    params: route.params.parse(input.params ?? {}),
    query: route.query.parse(input.query ?? {}),
    body: route.body.parse(input.body ?? {}),
  };
  const signal = new AbortController().signal;
  const result = await entry.handle(parsed, {
    requestId: 'test',
    principal: { subject: 'test', roles: ['admin'] },
    deadlineMs: Number.MAX_VALUE,
    signal,
  });
  return route.result.parse(result);
}
