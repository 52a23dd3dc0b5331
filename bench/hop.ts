import { openGate } from '../src/runtime/auth/index.ts';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import fastify from 'fastify';
import { Pool } from 'undici';
import { withScope } from '../src/runtime/call.ts';
import { httpCaller } from '../src/runtime/http/client.ts';
import { makeForward } from '../src/runtime/http/forward.ts';
import { httpLimits, mountHttp } from '../src/runtime/http/index.ts';
import { testClock, testRandom, testRoutes, testService } from '../src/runtime/http/test-service.ts';
import { createLogger } from '../src/runtime/logger.ts';
import type { RunningService } from '../src/runtime/service.ts';
import { createMetrics } from '../src/runtime/metrics.ts';
import { traceOptions, Tracer } from '../src/runtime/trace/index.ts';
import type { Measurement } from './run.ts';
import { median } from './support/median.ts';

/*
 * What a request costs on its way: CPU of real processes by their own count, so that it says the same on a busy
 * machine. Every subject is measured in turn, several rounds, and the median counts. Load comes from this process,
 * whose own CPU is in no figure.
 */

const ROUNDS = 5;
const REQUESTS = Number(process.env['BENCH_REQUESTS'] ?? 10_000);
const WARM_UP = 5_000;
const IN_FLIGHT = 16;
const SPANS = 200_000;

const PATH = '/v1/orders';
const BODY = { items: [{ id: 'a', count: 2 }] };

/** What a child process does. A new subject is a line here and one in {@link SUBJECTS}. */
const ROLES: Readonly<Record<string, () => Promise<Running>>> = {
  raw: startRaw,
  server: () => startServer(true),
  untraced: () => startServer(false),
  caller: startCaller,
  gateway: startGateway,
};

interface Running {
  readonly url: string;
  /** Calls the server at the address so often. */
  call?(url: string, calls: number): Promise<void>;
}

/** What is measured: the work of one round, and the processes whose CPU it takes, by metric. */
interface Subject {
  readonly run: (processes: Processes, requests: number) => Promise<void>;
  readonly cpu: Readonly<Record<string, string>>;
}

const SUBJECTS: readonly Subject[] = [
  { run: (on, requests) => load(on.url('raw'), requests), cpu: { rawCpuUsPerRequest: 'raw' } },
  { run: (on, requests) => load(on.url('server'), requests), cpu: { serverCpuUsPerRequest: 'server' } },
  { run: (on, requests) => load(on.url('untraced'), requests), cpu: { untracedCpuUsPerRequest: 'untraced' } },
  {
    run: (on, requests) => on.ask('caller', { call: on.url('server'), calls: requests }),
    cpu: { callCallerCpuUsPerCall: 'caller', callServerCpuUsPerCall: 'server' },
  },
  {
    async run(on, requests) {
      await on.ask('gateway', { call: on.url('server'), calls: 0 });
      await load(on.url('gateway'), requests);
    },
    cpu: { gatewayCpuUsPerRequest: 'gateway', behindGatewayCpuUsPerRequest: 'server' },
  },
];

export async function measure(): Promise<Measurement> {
  await using processes = await Processes.start(Object.keys(ROLES));
  const samples = new Map<string, number[]>();
  for (const { run } of SUBJECTS) await run(processes, WARM_UP);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { run, cpu } of SUBJECTS) {
      const names = [...new Set(Object.values(cpu))];
      const before = new Map(
        await Promise.all(names.map(async (name) => [name, await processes.cpuUs(name)] as const)),
      );
      await run(processes, REQUESTS);
      for (const [metric, name] of Object.entries(cpu)) {
        const used = (await processes.cpuUs(name)) - (before.get(name) ?? 0);
        samples.set(metric, [...(samples.get(metric) ?? []), used / REQUESTS]);
      }
    }
  }
  const metrics = Object.fromEntries([...samples].map(([metric, values]) => [metric, median(values)]));
  const of = (metric: string): number => metrics[metric] ?? Number.NaN;
  return {
    metrics: {
      ...metrics,
      callCpuUsPerCall: of('callCallerCpuUsPerCall') + of('callServerCpuUsPerCall'),
      serverOverRawRatio: of('serverCpuUsPerRequest') / of('rawCpuUsPerRequest'),
      spanCpuUs: spanCpuUs(),
    },
    goals: [],
  };
}

/** Sends requests from this process, some at a time on connections that stay. */
async function load(url: string, requests: number): Promise<void> {
  const pool = new Pool(url, { connections: IN_FLIGHT, pipelining: 1 });
  const body = JSON.stringify(BODY);
  let left = requests;
  const sender = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const answer = await pool.request({
        path: PATH,
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      });
      await answer.body.dump();
      if (answer.statusCode !== 200) throw new Error(`The server answered ${String(answer.statusCode)}`);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, sender));
  await pool.close();
}

/** CPU of one span of a request, from its headers to the ring. */
function spanCpuUs(): number {
  const tracer = makeTracer();
  const headers = { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00' };
  const run = (): number => {
    const begun = process.cpuUsage();
    for (let span = 0; span < SPANS; span += 1) tracer.end(tracer.server(testRoutes.order, headers));
    const { user, system } = process.cpuUsage(begun);
    return (user + system) / SPANS;
  };
  run();
  return median(Array.from({ length: ROUNDS }, run));
}

/** The child processes, by role. */
class Processes implements AsyncDisposable {
  readonly #children: ReadonlyMap<string, ChildProcess>;
  readonly #urls: ReadonlyMap<string, string>;

  constructor(children: ReadonlyMap<string, ChildProcess>, urls: ReadonlyMap<string, string>) {
    this.#children = children;
    this.#urls = urls;
  }

  static async start(roles: readonly string[]): Promise<Processes> {
    const children = new Map(
      roles.map((role) => [
        role,
        fork(fileURLToPath(import.meta.url), [role], { execArgv: process.execArgv }),
      ]),
    );
    const urls = new Map<string, string>();
    for (const [role, child] of children) {
      const [message] = (await once(child, 'message')) as [{ readonly url: string }];
      urls.set(role, message.url);
    }
    return new Processes(children, urls);
  }

  url(role: string): string {
    return this.#urls.get(role) ?? '';
  }

  /** Microseconds of CPU that the process has used. */
  async cpuUs(role: string): Promise<number> {
    return (await this.ask<{ readonly cpuUs: number }>(role, {})).cpuUs;
  }

  /** Has the process do something, and waits for its answer. */
  async ask<TAnswer>(role: string, order: Order): Promise<TAnswer> {
    const child = this.#children.get(role);
    if (child === undefined) throw new TypeError(`There is no process ${role}`);
    const answer = once(child, 'message') as Promise<[TAnswer]>;
    child.send(order);
    return (await answer)[0];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const children = [...this.#children.values()];
    const exits = children.map((child) => once(child, 'exit'));
    for (const child of children) child.disconnect();
    await Promise.all(exits);
  }
}

/** What a child is told; the answer is always the CPU that it has used. */
interface Order {
  /** Address to call. */
  readonly call?: string;
  readonly calls?: number;
}

async function startRaw(): Promise<Running> {
  const app = fastify();
  app.post<{ Body: typeof BODY }>(PATH, async ({ body }) => ({
    count: body.items.reduce((sum, item) => sum + item.count, 0),
  }));
  return { url: await app.listen({ host: '127.0.0.1', port: 0 }) };
}

function makeTracer(): Tracer {
  return new Tracer({ clock: testClock, random: testRandom, options: traceOptions.parse({}) });
}

async function startServer(isTraced: boolean): Promise<Running> {
  const server = await mountHttp(new Map([['serve', testService().service]]), {
    host: '127.0.0.1',
    port: 0,
    limits: httpLimits.parse({}),
    gate: openGate,
    info: { title: 'bench', version: '1' },
    clock: testClock,
    random: testRandom,
    logger: createLogger({ level: 'error' }),
    metrics: createMetrics(),
    tracer: isTraced ? makeTracer() : undefined,
  });
  return { url: server.url.href };
}

async function startCaller(): Promise<Running> {
  let addresses: readonly URL[] = [];
  const tracer = makeTracer();
  const tools = { clock: testClock, random: testRandom, tracer };
  const caller = httpCaller({ addresses: () => addresses, ...tools });
  return {
    url: '',
    async call(url, calls) {
      addresses = [new URL(url)];
      let left = calls;
      const sender = async (): Promise<void> => {
        while (left > 0) {
          left -= 1;
          // As a handler calls: within a request that is traced.
          const span = tracer.server(testRoutes.book, {});
          await withScope({ requestId: 'bench', span }, () =>
            caller.call(testRoutes.order, { params: {}, query: {}, body: BODY }),
          );
          tracer.end(span);
        }
      };
      await Promise.all(Array.from({ length: IN_FLIGHT }, sender));
    },
  };
}

/** Passes every request on, with a token of its own and the name of who asks. */
async function startGateway(): Promise<Running> {
  let addresses: readonly URL[] = [];
  const tracer = makeTracer();
  const tools = { addresses: () => addresses, clock: testClock, random: testRandom, tracer };
  const options = { ...tools, authorize: () => `Bearer ${'x'.repeat(300)}` };
  const service: RunningService = {
    handlers: [],
    forwards: Object.values(testRoutes),
    ready: () => Promise.resolve({ ready: true }),
    stop: () => Promise.resolve(),
  };
  const server = await mountHttp(new Map([['gateway', service]]), {
    host: '127.0.0.1',
    port: 0,
    limits: httpLimits.parse({}),
    gate: openGate,
    forward: makeForward(httpCaller(options), options),
    info: { title: 'bench', version: '1' },
    clock: testClock,
    random: testRandom,
    logger: createLogger({ level: 'error' }),
    metrics: createMetrics(),
    tracer,
  });
  return {
    url: server.url.href,
    call(url) {
      addresses = [new URL(url)];
      return Promise.resolve();
    },
  };
}

if (import.meta.main && process.send !== undefined) {
  const running = await ROLES[process.argv[2] ?? '']?.();
  const send = (message: object): void => void process.send?.(message);
  process.on('message', (order: Order) => {
    const done = order.call === undefined ? undefined : running?.call?.(order.call, order.calls ?? 0);
    Promise.resolve(done).then(
      () => {
        const { user, system } = process.cpuUsage();
        send({ cpuUs: user + system });
      },
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  });
  process.on('disconnect', () => process.exit(0));
  send({ url: running?.url ?? '' });
}
