import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { PlatformError } from '../contract/index.ts';
import { defineApp } from '../define/index.ts';
import { noFailPoints } from './fail-points.ts';
import { type Ports, type RunningServices, startServices, type StartOptions } from './host.ts';
import { httpLimits } from './http/index.ts';
import { testClock, testRandom, testRoutes, testService } from './http/test-service.ts';
import { createLogger } from './logger.ts';
import { createMetrics } from './metrics.ts';
import { handler, type ServiceDefinition, type ServiceHost } from './service.ts';

/** The services of these tests reach for nothing but time and chance; whoever does reach for more fails. */
const untouched = new Proxy(
  {},
  {
    get(_, name) {
      throw new TypeError(`The port is not there: ${String(name)}`);
    },
  },
);
const ports = {
  ...Object.fromEntries(
    ['tables', 'log', 'groups', 'jobs', 'objects', 'warehouse', 'compute', 'threads'].map((name) => [
      name,
      untouched,
    ]),
  ),
  signals: { notify: async () => undefined, subscribe: () => () => undefined },
  instances: {
    announce: async () => undefined,
    withdraw: async () => undefined,
    live: async () => [],
    need: async () => undefined,
    needs: async () => [],
  },
  clock: testClock,
  random: testRandom,
  failPoints: noFailPoints,
} as unknown as Ports;

const metrics = createMetrics();
const lines: string[] = [];
let open: RunningServices | undefined;
afterEach(async () => {
  await open?.stop(1_000);
  open = undefined;
});

function options(more: Partial<StartOptions> = {}): StartOptions {
  return {
    app: defineApp('empty', { decisions: {} }),
    serviceOptions: new Map(),
    peers: new Map(),
    migrate: async () => undefined,
    http: { host: '127.0.0.1', port: 0, limits: httpLimits.parse({}) },
    access: { isRequired: false, throttle: { failuresMax: 10, windowMs: 60_000 } },
    version: '1',
    logger: createLogger({ write: (line) => void lines.push(line) }),
    metrics,
    ...more,
  };
}

type TestHost = ServiceHost<{ readonly size: number }>;

function definition(
  name: 'registry' | 'serve' | 'train',
  start: (host: TestHost) => Promise<void>,
  stop: (graceMs: number) => Promise<void> = async () => undefined,
): ServiceDefinition<{ readonly size: number }> {
  return {
    name,
    summary: name,
    options: z.object({ size: z.number().default(3) }).strict(),
    migrations: { owner: name, migrations: [] },
    async start(host) {
      await start(host);
      return {
        ...testService().service,
        handlers: name === 'serve' ? testService().service.handlers : [],
        stop,
      };
    },
  };
}

describe('startServices', () => {
  it('migrates, starts in order, serves on one port and stops in reverse', async () => {
    const steps: string[] = [];
    const services = (['registry', 'serve'] as const).map((name) =>
      definition(
        name,
        async (host) => void steps.push(`start ${name} ${String(host.options.size)}`),
        async () => void steps.push(`stop ${name}`),
      ),
    );
    const migrate = async (sets: readonly { readonly owner: string }[]): Promise<void> => {
      steps.push(`migrate ${sets.map(({ owner }) => owner).join(' ')}`);
    };
    open = await startServices(
      services,
      ports,
      options({ migrate, serviceOptions: new Map([['serve', { size: 9 }]]) }),
    );
    const greeting = (await (await fetch(new URL('/v1/greetings/you', open.url))).json()) as {
      readonly text: string;
    };
    expect(greeting.text).toBe('hello you');
    expect(await open.ready()).toEqual(new Map(['registry', 'serve'].map((name) => [name, { ready: true }])));
    await Promise.all([open.stop(1_000), open.stop(1_000)]);
    expect(steps).toEqual([
      'migrate registry serve',
      'start registry 3',
      'start serve 9',
      'stop serve',
      'stop registry',
    ]);
    await expect(fetch(new URL('/livez', open.url))).rejects.toThrow();
  });

  it('names its replica, and lets a service hand over while calls are still answered', async () => {
    let host: TestHost | undefined;
    let answered: Promise<Response> | undefined;
    const serve = definition('serve', async (given) => void (host = given));
    const leaving: ServiceDefinition<{ readonly size: number }> = {
      ...serve,
      async start(given) {
        const service = await serve.start(given);
        const leave = async (): Promise<void> => {
          answered = fetch(new URL('/v1/greetings/you', open?.url));
          await answered;
        };
        return { ...service, leave };
      },
    };
    open = await startServices([leaving], ports, options({ replica: 'serve-7' }));
    expect(host?.replica).toBe('serve-7');
    await open.stop(2_000);
    expect((await answered)?.status).toBe(200);
  });

  it('lets services call each other whatever their order, and tells them when the other is not there yet', async () => {
    let early: unknown;
    let late: unknown;
    const input = { params: { name: 'me' }, query: { times: 1 }, body: {} };
    const caller = definition('train', async (host) => {
      early = await host.call(testRoutes.greet, input).catch((error: unknown) => error);
      late = () => host.call(testRoutes.greet, input);
    });
    const calls = [testRoutes.greet];
    const services = [{ ...caller, calls }, definition('serve', async () => undefined)];
    open = await startServices(services, ports, options());
    expect(early).toMatchObject({ code: 'UNAVAILABLE' });
    expect(await (late as () => Promise<unknown>)()).toMatchObject({ text: 'hello me' });
  });

  it('lets a service call only what it says that it calls', async () => {
    let call: TestHost['call'] | undefined;
    const caller = definition('train', async (host) => void (call = host.call));
    open = await startServices([caller, definition('serve', async () => undefined)], ports, options());
    const input = { params: { name: 'me' }, query: { times: 1 }, body: {} };
    expect(() => call?.(testRoutes.greet, input)).toThrow(
      'The train service calls greet and does not say so',
    );
  });

  it('names its build in every answer, and gives none that breaks its contract', async () => {
    const announced: unknown[] = [];
    const instances = { ...ports.instances, announce: async (list: unknown) => void announced.push(list) };
    const serve = definition('serve', async () => undefined);
    const wrong: ServiceDefinition<{ readonly size: number }> = {
      ...serve,
      async start(host) {
        const running = await serve.start(host);
        const order = handler(testRoutes.order, async () => ({ count: Number.NaN }));
        const others = running.handlers.filter(({ route }) => route.name !== 'order');
        return { ...running, handlers: [...others, order] };
      },
    };
    const build = { id: 'abc', contract: async () => 'sha256:1' };
    open = await startServices([wrong], { ...ports, instances }, options({ build }));
    const [good, bad, life, whole, none] = await Promise.all([
      fetch(new URL('/v1/greetings/you', open.url)),
      fetch(new URL('/v1/orders', open.url), {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ items: [{ id: 'a', count: 1 }] }),
      }),
      fetch(new URL('/livez', open.url)),
      fetch(new URL('/livez?contract', open.url)),
      fetch(new URL('/nowhere', open.url)),
    ]);
    expect([good, bad, life, none].map(({ status }) => status)).toEqual([200, 500, 200, 404]);
    for (const answer of [good, bad, life, none]) expect(answer.headers.get('x-tandem-build')).toBe('abc');
    expect(await life.json()).toEqual({ alive: true, build: 'abc' });
    expect(await whole.json()).toEqual({ alive: true, build: 'abc', contract: 'sha256:1' });
    expect(announced[0]).toMatchObject([{ service: 'serve', build: 'abc' }]);
    expect(lines.join()).toContain('result.count: expected a number');
  });

  it('stops what has started when something fails to start', async () => {
    const stopped: string[] = [];
    const good = definition(
      'registry',
      async () => undefined,
      async () => void stopped.push('registry'),
    );
    const bad = definition('serve', async () => {
      throw new PlatformError('CONFIGURATION', 'no model');
    });
    await expect(startServices([good, bad], ports, options())).rejects.toMatchObject({
      code: 'CONFIGURATION',
    });
    expect(stopped).toEqual(['registry']);
    const taken = startServices(
      [good],
      ports,
      options({ http: { host: '0.0.0.0', port: 0, limits: httpLimits.parse({}) } }),
    );
    await expect(taken).rejects.toMatchObject({ code: 'CONFIGURATION' });
    expect(stopped).toEqual(['registry', 'registry']);
  });

  it('stops the others when one fails to stop or takes too long', async () => {
    const stopped: string[] = [];
    const services = [
      definition(
        'registry',
        async () => undefined,
        async () => void stopped.push('registry'),
      ),
      definition(
        'train',
        async () => undefined,
        () => new Promise<void>(() => undefined),
      ),
      definition(
        'serve',
        async () => undefined,
        () => Promise.reject(new Error('stuck')),
      ),
    ];
    const running = await startServices(services, ports, options());
    await running.stop(50);
    expect(stopped).toEqual(['registry']);
    expect(lines.join('')).toContain('stuck');
    expect(lines.join('')).toContain('It did not stop within');
  });
});
