import {
  type IngestResult,
  type InputOf,
  PlatformError,
  type ResultOf,
  type Route,
  routes,
  sourceTopic,
} from '../../contract/index.ts';
import {
  boolean,
  defineApp,
  id,
  integer,
  key,
  money,
  number,
  source,
  type Source,
  text,
  timestamp,
} from '../../define/index.ts';
import type {
  Caller,
  Clock,
  ConsumerGroups,
  EventLog,
  Jobs,
  OutsideTables,
  Random,
  RawBody,
  RunningService,
  ServiceHost,
  Signals,
  Tables,
  Warehouse,
} from '../../runtime/index.ts';
import { NO_TRACE, noFailPoints } from '../../runtime/index.ts';
import { createMetrics, type MetricsRegistry } from '../../runtime/metrics.ts';
import { ingest, type IngestOptions } from './index.ts';
import { ingestOptions } from './limits.ts';

/** What the tests ingest. Each test has a source of its own on the store that all share. */
export function ordersSource(name: string): Source {
  return source(name, {
    id: 'orderId',
    time: 'at',
    key: 'customerId',
    fields: {
      orderId: id(),
      at: timestamp(),
      customerId: key({ personal: 'pseudonym' }),
      total: money('EUR'),
      pieces: integer({ optional: true }),
      weight: number({ optional: true }),
      gift: boolean({ optional: true }),
      note: text({ optional: true }),
    },
  });
}

/** The instant that the test clock shows at the beginning. */
export const NOW: number = Date.UTC(2024, 5, 1);

/** The real ports that the service runs on. */
export interface TestStore {
  readonly tables: Tables;
  readonly signals: Signals;
  readonly log: EventLog;
  readonly groups: ConsumerGroups;
  readonly jobs: Jobs;
  readonly clock: Clock;
  readonly random: Random;
}

export const JSON_TYPE = 'application/json';
export const NDJSON = 'application/x-ndjson';
export const CSV = 'text/csv';

export interface TestHostOptions {
  /** Name of the source. */
  readonly source: string;
  readonly limits?: Partial<IngestOptions>;
  readonly call?: Caller;
  readonly warehouse?: Warehouse;
  readonly outsideTables?: OutsideTables;
  readonly instance?: string;
  /** Other definition than that of {@link ordersSource}, for its name. */
  readonly define?: (name: string) => Source;
}

/** A record of the log as text. */
export interface LoggedRecord {
  readonly partition: number;
  readonly offset: number;
  readonly text: string;
}

export type Body = string | Buffer | AsyncIterable<Uint8Array>;

/** Ingest on a real store, with a clock that stands still until it is set. */
export class TestIngest {
  readonly source: string;
  readonly clock: { now: number };
  readonly metrics: MetricsRegistry;
  readonly service: RunningService;
  /** What was logged. */
  readonly said: readonly unknown[];
  readonly #log: EventLog;

  private constructor(
    parts: Pick<TestIngest, 'source' | 'clock' | 'metrics' | 'service' | 'said'>,
    log: EventLog,
  ) {
    this.source = parts.source;
    this.clock = parts.clock;
    this.metrics = parts.metrics;
    this.service = parts.service;
    this.said = parts.said;
    this.#log = log;
  }

  static async start(store: TestStore, options: TestHostOptions): Promise<TestIngest> {
    const clock = { now: NOW };
    const metrics = createMetrics();
    const said: unknown[] = [];
    const say = (...words: unknown[]): void => void said.push(words);
    const absent = new Proxy(
      {},
      { get: () => () => Promise.reject(new Error('ingest does not use this port')) },
    );
    const host: ServiceHost<IngestOptions> = {
      app: defineApp('shop', { decisions: {}, sources: [(options.define ?? ordersSource)(options.source)] }),
      options: ingestOptions.parse(options.limits ?? {}) as IngestOptions,
      instance: options.instance ?? 'test',
      replica: 'test',
      peers: () => [],
      clock: {
        now: () => clock.now,
        monotonic: () => store.clock.monotonic(),
        sleep: (ms, signal) => store.clock.sleep(ms, signal),
      },
      random: store.random,
      tables: store.tables,
      signals: store.signals,
      log: store.log,
      groups: store.groups,
      jobs: store.jobs,
      keys: absent as ServiceHost['keys'],
      reachable: () => new Set(),
      objects: absent as ServiceHost['objects'],
      warehouse: options.warehouse ?? (absent as ServiceHost['warehouse']),
      outsideTables: options.outsideTables ?? (absent as ServiceHost['outsideTables']),
      compute: absent as ServiceHost['compute'],
      threads: absent as ServiceHost['threads'],
      failPoints: noFailPoints,
      call: options.call ?? (() => Promise.reject(new PlatformError('UNAVAILABLE', 'no such service here'))),
      logger: { info: say, warn: say, error: say },
      metrics: metrics.of('ingest'),
      trace: NO_TRACE,
    };
    const service = await ingest.start(host);
    return new TestIngest({ source: options.source, clock, metrics, service, said }, store.log);
  }

  /** Calls a route and checks the answer against its schema. */
  async call<TParams, TQuery, TBody, TResult>(
    route: Route<TParams, TQuery, TBody, TResult>,
    input: { readonly params: TParams; readonly query: TQuery; readonly body: TBody },
    signal: AbortSignal = new AbortController().signal,
  ): Promise<TResult> {
    const entry = this.service.handlers.find((item) => item.route.name === route.name);
    if (entry === undefined) throw new Error(`no handler for ${route.name}`);
    const result = await entry.handle(input, {
      requestId: 'test',
      principal: { subject: 'test', roles: ['admin'] },
      deadlineMs: Number.MAX_VALUE,
      signal,
    });
    return route.result.parse(result);
  }

  /** Sends a body of events: a short text as the HTTP server gives small bodies, anything else in chunks. */
  post(mediaType: string, body: Body, results: 'all' | 'quarantined' = 'all'): Promise<IngestResult> {
    const chunks = typeof body === 'string' || Buffer.isBuffer(body) ? chunksOf([Buffer.from(body)]) : body;
    return this.call(routes.ingestEvents, {
      params: { source: this.source },
      query: { results },
      body: {
        mediaType,
        chunks,
        ...(typeof body === 'string' && body.length < 65_536 ? { whole: wholeOf(body) } : {}),
      },
    });
  }

  /** Everything in the log, in the order of partitions and offsets. */
  async logged(): Promise<LoggedRecord[]> {
    const found: LoggedRecord[] = [];
    const topic = sourceTopic(this.source);
    for (const [partition, { first, next }] of (await this.#log.ranges(topic)).entries()) {
      for (let offset = first; offset < next;) {
        for (const batch of await this.#log.read(topic, partition, offset)) {
          for (let index = 0; index < batch.count; index += 1) {
            found.push({
              partition,
              offset: batch.base + index,
              text: Buffer.from(batch.record(index)).toString(),
            });
          }
          offset = batch.base + batch.count;
        }
      }
    }
    return found;
  }

  /** Order ids in the log, sorted. */
  async loggedIds(): Promise<string[]> {
    return (await this.logged())
      .map(({ text: record }) => (JSON.parse(record) as { orderId: string }).orderId)
      .sort();
  }

  async stop(): Promise<void> {
    await this.service.stop(1_000);
    this.metrics.close();
  }
}

/** Bytes in pieces of the given sizes; the rest is the last piece. */
export function cutUp(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let at = 0;
  for (const size of sizes) {
    pieces.push(Buffer.from(bytes.subarray(at, at + size)));
    at += size;
  }
  pieces.push(Buffer.from(bytes.subarray(at)));
  return pieces.filter((piece) => piece.length > 0);
}

/** A body that comes in chunks, and then fails if there is an error. */
export async function* chunksOf(chunks: Iterable<Buffer>, error?: Error): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield chunk;
  if (error !== undefined) throw error;
  await Promise.resolve();
}

function wholeOf(text: string): NonNullable<RawBody['whole']> {
  return async (arrived) => {
    const bytes = Buffer.from(text);
    arrived(bytes.length);
    return bytes;
  };
}

export interface Setting extends Omit<TestHostOptions, 'source'> {
  /** Default: a source that nobody else uses. */
  readonly source?: string;
  readonly log?: EventLog;
  readonly tables?: Tables;
}

/** Gives the function that runs a test with ingest on the store, and stops ingest afterwards. */
export function ingestOn(
  open: () => TestStore,
): (setting: Setting, work: (service: TestIngest) => Promise<void>) => Promise<void> {
  return async (setting, work) => {
    const store = open();
    const source = `orders_${store.random.id().replaceAll('-', '_')}`;
    const ports = { ...store, tables: setting.tables ?? store.tables, log: setting.log ?? store.log };
    const service = await TestIngest.start(ports, { source, ...setting });
    try {
      await work(service);
    } finally {
      await service.stop();
    }
  };
}

/** The error of a call that must fail. */
export async function failureOf(call: Promise<unknown>): Promise<PlatformError> {
  try {
    await call;
  } catch (error) {
    if (PlatformError.is(error)) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

export interface Order {
  readonly orderId: string;
  readonly at: unknown;
  readonly customerId: string;
  readonly total: unknown;
}

/** A good record, but for the changes. */
export function order(orderId: string, change: Readonly<Record<string, unknown>> = {}): Order {
  return { orderId, at: '2024-05-01T10:00:00Z', customerId: `customer-${orderId}`, total: 12.5, ...change };
}

/** The same as JSON. */
export function line(orderId: string, change?: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(order(orderId, change));
}

/** Arrays in arrays. */
export function deep(depth: number): string {
  return '['.repeat(depth) + ']'.repeat(depth);
}

/** A page of the quarantine. */
export function list(
  service: TestIngest,
  query: Partial<InputOf<typeof routes.listQuarantine>['query']> = {},
): Promise<ResultOf<typeof routes.listQuarantine>> {
  const input = {
    params: { source: service.source },
    query: { limit: 100, state: 'waiting' as const, ...query },
    body: {},
  };
  return service.call(routes.listQuarantine, input);
}

/** Replays records of the quarantine. */
export function replay(
  service: TestIngest,
  records: readonly { readonly id: string; readonly record?: Record<string, unknown> }[],
): Promise<IngestResult> {
  const input = { params: { source: service.source }, query: {}, body: { records: [...records] } };
  return service.call(routes.replayQuarantine, input);
}
