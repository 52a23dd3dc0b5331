import { once } from 'node:events';
import { z } from 'zod';
import { openPostgres } from '../../src/adapters/postgres/index.ts';
import { defineApp } from '../../src/define/index.ts';
import { testClock, testRandom, testService } from '../../src/runtime/http/test-service.ts';
import {
  createLogger,
  createMetrics,
  httpLimits,
  noFailPoints,
  type Ports,
  type RunningServices,
  type ServiceDefinition,
  startServices,
} from '../../src/runtime/index.ts';

/** The test service as a value that a process can run. */
const definition: ServiceDefinition = {
  name: 'serve',
  summary: 'test',
  options: z.object({}),
  migrations: { owner: 'test', migrations: [] },
  start: async () => testService().service,
};

/** A process of the platform on this database: with the test service, or as a caller of it only. */
export async function startInstance(
  databaseUrl: string,
  runs: 'service' | 'nothing',
): Promise<RunningServices & AsyncDisposable> {
  const postgres = await openPostgres(databaseUrl, { applicationName: 'instance', connectionsMax: 3 });
  const metrics = createMetrics();
  const parts = { clock: testClock, random: testRandom, failPoints: noFailPoints };
  const ports = { ...postgres, ...parts } as unknown as Ports;
  const services = await startServices(runs === 'service' ? [definition] : [], ports, {
    app: defineApp('empty', { decisions: {} }),
    serviceOptions: new Map(),
    peers: new Map(),
    migrate: (sets) => postgres.migrate(sets),
    http: { host: '127.0.0.1', port: 0, limits: httpLimits.parse({}) },
    access: { isRequired: false, throttle: { failuresMax: 10, windowMs: 60_000 } },
    version: '1',
    logger: createLogger({ level: 'error' }),
    metrics,
  });
  return {
    ...services,
    async [Symbol.asyncDispose]() {
      await services.stop(8_000);
      metrics.close();
      await postgres.close();
    },
  };
}

// As a process of its own it runs the service until SIGTERM, and says its address on a line. 'held': it says 'loaded' first
// and waits for anything on its standard input.
const [databaseUrl, held] = process.argv.slice(2);
if (import.meta.main && databaseUrl !== undefined) {
  if (held === 'held') {
    process.stdout.write('loaded\n');
    await once(process.stdin, 'data');
    process.stdin.destroy();
  }
  await using instance = await startInstance(databaseUrl, 'service');
  process.stdout.write(`${instance.url.href}\n`);
  await new Promise<void>((resolve) => void process.once('SIGTERM', () => resolve()));
}
