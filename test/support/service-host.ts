import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { duckdbWarehouse } from '../../src/adapters/duckdb/index.ts';
import { directoryObjects } from '../../src/adapters/objects/index.ts';
import { openPostgres, type Postgres } from '../../src/adapters/postgres/index.ts';
import { systemClock, systemRandom } from '../../src/adapters/system/index.ts';
import { PlatformError, type Route, type ServiceName } from '../../src/contract/index.ts';
import type { App } from '../../src/define/index.ts';
import type {
  Caller,
  Objects,
  RunningService,
  ServiceDefinition,
  ServiceHost,
  Warehouse,
} from '../../src/runtime/index.ts';
import { NO_TRACE, noFailPoints } from '../../src/runtime/index.ts';
import { createMetrics } from '../../src/runtime/metrics.ts';
import { freshDatabase } from '../conformance/embedded-server.ts';

/** A database, an object store and a warehouse of a test's own, on which services can be started and crashed. */
export interface TestWorld extends AsyncDisposable {
  readonly postgres: Postgres;
  readonly objects: Objects;
  readonly warehouse: Warehouse;
  /** Starts a service as the composition root would; a test that forgets it without `stop` has crashed it. */
  start<TOptions>(
    definition: ServiceDefinition<TOptions>,
    app: App,
    options?: Record<string, unknown>,
    call?: Caller,
  ): Promise<RunningService>;
}

export async function testWorld(): Promise<TestWorld> {
  const directory = await mkdtemp(join(tmpdir(), 'tandem-world-'));
  const database = await freshDatabase();
  const postgres = await openPostgres(database.url, { applicationName: 'test', connectionsMax: 8 });
  const metrics = createMetrics();
  const objects = directoryObjects(join(directory, 'objects'));
  const warehouse = duckdbWarehouse({ directory: join(directory, 'warehouse') });
  let instances = 0;
  return {
    postgres,
    objects,
    warehouse,
    async start(definition, app, options = {}, call = unavailable) {
      await postgres.migrate([definition.migrations]);
      instances += 1;
      const host = {
        app,
        options: definition.options.parse(options),
        instance: `test-${String(instances)}`,
        clock: systemClock(),
        random: systemRandom(),
        tables: postgres.tables,
        signals: postgres.signals,
        log: postgres.log,
        groups: postgres.groups,
        jobs: postgres.jobs,
        keys: postgres.keys,
        reachable: () => new Set<ServiceName>(),
        objects,
        warehouse,
        compute: { run: () => Promise.reject(new Error('no compute in this test')) },
        call,
        failPoints: noFailPoints,
        logger: { info: () => undefined, warn: () => undefined, error: () => undefined },
        metrics: metrics.of(definition.name),
        trace: NO_TRACE,
      } satisfies ServiceHost;
      return definition.start(host);
    },
    async [Symbol.asyncDispose]() {
      await postgres.close();
      metrics.close();
      await database[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
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
