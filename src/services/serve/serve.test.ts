import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { administrate, freshDatabase } from '../../../test/conformance/embedded-server.ts';
import { directoryObjects } from '../../adapters/objects/directory.ts';
import { openPostgres, type Postgres } from '../../adapters/postgres/pool.ts';
import { systemClock, systemRandom } from '../../adapters/system/index.ts';
import {
  type DecisionAnswer,
  type InputOf,
  type ModelVersion,
  PlatformError,
  type Release,
  type ResultOf,
  type AnyRoute,
  routes,
  type VectorRead,
} from '../../contract/index.ts';
import {
  type App,
  count,
  decision,
  defineApp,
  defineModel,
  features,
  id,
  key,
  label,
  logistic,
  money,
} from '../../define/index.ts';
import { source, timestamp, vector } from '../../define/index.ts';
import { encodeLogistic } from '../../ml/onnx/encode-logistic.ts';
import { loadModel } from '../../ml/onnx/load-model.ts';
import {
  type CallContext,
  type Logger,
  noFailPoints,
  type Objects,
  type RunningService,
  type ServiceHost,
  type Tables,
} from '../../runtime/index.ts';
import { NO_TRACE } from '../../runtime/trace/index.ts';
import { createMetrics, type MetricsRegistry } from '../../runtime/metrics.ts';
import { registry, type RegistryOptions } from '../registry/index.ts';
import { serve, type ServeOptions } from './index.ts';

const payments = source('payments', {
  id: 'paymentId',
  time: 'at',
  key: 'customerId',
  fields: { paymentId: id(), at: timestamp(), customerId: key(), amount: money('EUR') },
});
const reports = source('reports', {
  id: 'reportId',
  time: 'at',
  key: 'paymentId',
  fields: { reportId: id(), at: timestamp(), paymentId: key() },
});
const bad = label('bad', { of: payments, from: reports, on: 'paymentId', maturesAfter: '7d' });
const customer = features('customer', { from: payments, key: 'customerId' }, () => ({
  count: count().over('1d'),
}));
const card = vector('card', { candidate: payments, amount: (c) => c.amount, customer });
const risk = defineModel('risk', { vector: card, label: bad, trainer: logistic() });
const app = defineApp('test', {
  decisions: {
    score: decision('score', { model: risk, subject: 'customerId', outcomes: ['accept', 'review'] }),
    quick: decision('quick', { model: risk, subject: 'customerId', ledger: 'buffered' }),
  },
});

type Handle = (input: unknown, context: unknown) => Promise<unknown>;

const logger: Logger = { info: () => undefined, warn: () => undefined, error: () => undefined };
const clock = systemClock();
const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;

/** The features service as far as serve sees it. */
class StubFeatures {
  hash: string = card.hash;
  /** What the second value is; the first is the amount. */
  second: number | null = 3;
  away = false;
  hold: Promise<void> | undefined;
  batches: number[] = [];

  /** The vectors that were read. */
  vectors = new Set<string>();

  async read(input: InputOf<typeof routes.readVector>): Promise<VectorRead> {
    this.vectors.add(input.params.vector);
    await this.hold;
    if (this.away) throw new PlatformError('UNAVAILABLE', 'features are away');
    const { candidates } = input.body;
    this.batches.push(candidates.length);
    const rows = candidates.map((candidate) => ({
      asOf: 1_700_000_000_000,
      values: this.#values(candidate),
    }));
    const names = card.values.map((value) => value.name);
    return { vector: 'card', hash: this.hash, names, positions: { payments: [7, 0, 9] }, rows };
  }

  replay(input: InputOf<typeof routes.replayVector>): ResultOf<typeof routes.replayVector> {
    const rows = input.body.receipts.map(({ candidate, asOf }) => ({
      asOf,
      values: this.#values(candidate),
    }));
    return { rows };
  }

  #values(candidate: Record<string, unknown>): (number | null)[] {
    return [Number(candidate['amount']), this.second];
  }
}

/** The two services on a database of their own, talking JSON to each other. */
class World implements AsyncDisposable {
  readonly features = new StubFeatures();
  readonly metrics: MetricsRegistry = createMetrics();
  readonly url: string;
  readonly postgres: Postgres;
  readonly objects: Objects;
  readonly #handlers = new Map<string, Handle>();
  registryAway = false;
  /** What serve sees of the database; the registry keeps the real one. */
  tables: Tables;
  running: RunningService | undefined;
  /** The app of the next serve that is started; the registry keeps its own. */
  app: App = app;
  #serial = 0;

  private constructor(url: string, postgres: Postgres, objects: Objects) {
    this.url = url;
    this.postgres = postgres;
    this.objects = objects;
    this.tables = postgres.tables;
    this.#handlers.set('readVector', (input) => this.features.read(input as never));
    this.#handlers.set('replayVector', async (input) => this.features.replay(input as never));
  }

  static async open(url: string, folder: string): Promise<World> {
    const postgres = await openPostgres(url, { applicationName: 'serve test', connectionsMax: 10 });
    const world = new World(url, postgres, directoryObjects(folder));
    world.#mount(await registry.start(world.#host<RegistryOptions>({}, 'registry')));
    return world;
  }

  async serve(options: Partial<ServeOptions> = {}): Promise<RunningService> {
    const parsed = serve.options.parse({ readyMs: 10_000, ...options });
    this.running = await serve.start(this.#host(parsed, 'serve'));
    this.#mount(this.running);
    return this.running;
  }

  readonly call = async <TRoute extends AnyRoute>(
    route: TRoute,
    input: Partial<InputOf<TRoute>>,
    options: { readonly timeoutMs?: number } = {},
  ): Promise<ResultOf<TRoute>> => {
    if (route.service === 'registry' && this.registryAway)
      throw new PlatformError('UNAVAILABLE', 'registry is away');
    const handle = this.#handlers.get(route.name);
    if (handle === undefined) throw new PlatformError('UNAVAILABLE', `${route.name} is not served`);
    const { params = {}, query = {}, body = {} } = JSON.parse(JSON.stringify(input)) as InputOf<TRoute>;
    const parsed = {
      params: route.params.parse(params),
      query: route.query.parse(query),
      body: route.body.parse(body),
    };
    const timeoutMs = options.timeoutMs ?? 20_000;
    const context: CallContext = {
      requestId: 'test',
      principal: { subject: 'test', roles: ['admin'] },
      deadlineMs: clock.monotonic() + timeoutMs,
      signal: AbortSignal.timeout(timeoutMs),
    };
    const result = JSON.parse(JSON.stringify(await handle(parsed, context))) as unknown;
    return route.result.parse(result) as ResultOf<TRoute>;
  };

  decide(name: string, changes: Record<string, unknown> = {}, timeoutMs = 20_000): Promise<DecisionAnswer> {
    this.#serial += 1;
    const body = {
      paymentId: this.#serial,
      at: '2026-01-01T00:00:00Z',
      customerId: 'c1',
      amount: 12.34,
      ...changes,
    };
    return this.call(routes.decide, { params: { decision: name }, body }, { timeoutMs });
  }

  async register(bytes: Uint8Array): Promise<ModelVersion> {
    this.#serial += 1;
    const body = {
      onnx: await this.objects.put(bytes),
      signature: { inputs: [], outputs: [] },
      metrics: {},
      gates: [],
      lineage: {
        run: 'r',
        dataset: digest('a'),
        vectorHash: card.hash,
        labelHash: bad.hash,
        modelHash: risk.hash,
        appHash: app.hash,
        codeVersion: '1',
        trainer: {},
        seed: 0,
        asOf: 1,
      },
      idempotencyKey: `v${String(this.#serial)}`,
    };
    return this.call(routes.registerVersion, { params: { model: 'risk' }, body });
  }

  release(name: string, version: number, threshold = 0.5): Promise<Release> {
    return this.call(routes.createRelease, { body: { decision: name, version, threshold } });
  }

  /** Asks until the release answers. */
  async until(release: Release): Promise<void> {
    const answering = (): Promise<string> =>
      this.decide(release.decision).then((answer) => answer.release, String);
    await expect.poll(answering, { timeout: 10_000, interval: 5 }).toBe(release.id);
  }

  async metric(line: string): Promise<number> {
    const text = await this.metrics.text();
    const found = text.split('\n').find((item) => item.startsWith(`${line} `));
    return Number(found?.slice(line.length + 1) ?? Number.NaN);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.running?.stop(2_000);
    this.metrics.close();
    await this.postgres.close();
  }

  #mount(service: RunningService): void {
    for (const { route, handle } of service.handlers) this.#handlers.set(route.name, handle as Handle);
  }

  #host<TOptions>(options: TOptions, prefix: string): ServiceHost<TOptions> {
    const { objects, postgres, metrics } = this;
    const tables: Tables = {
      query: (sql, parameters) => (prefix === 'serve' ? this.tables : postgres.tables).query(sql, parameters),
      transaction: (work) => (prefix === 'serve' ? this.tables : postgres.tables).transaction(work),
    };
    const parts = {
      app: this.app,
      options,
      clock,
      random: systemRandom(),
      objects,
      tables,
      signals: postgres.signals,
      failPoints: noFailPoints,
      logger,
    };
    return {
      ...parts,
      call: this.call,
      metrics: metrics.of(prefix),
      trace: NO_TRACE,
    } as unknown as ServiceHost<TOptions>;
  }
}

const away: Tables = {
  query: () => Promise.reject(new PlatformError('UNAVAILABLE', 'the database is away')),
  transaction: () => Promise.reject(new PlatformError('UNAVAILABLE', 'the database is away')),
};

function model(intercept: number): Uint8Array {
  return encodeLogistic({
    kind: 'logistic',
    means: Float64Array.of(10, 2),
    scales: Float64Array.of(3, 1),
    coefficients: Float64Array.of(0.3, -0.7),
    intercept,
    iterations: 1,
  });
}

function scoreOf(bytes: Uint8Array, values: readonly (number | null)[]): number {
  const output = new Float64Array(1);
  loadModel(bytes).predict(
    Float32Array.from(values, (value) => value ?? Number.NaN),
    1,
    output,
  );
  return output[0] ?? Number.NaN;
}

async function failure(work: Promise<unknown>): Promise<PlatformError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!PlatformError.is(error)) throw new Error(`Expected a PlatformError, got ${String(error)}`);
  return error;
}

const low = model(-2);
const high = model(2);
/** What is never changed or removed, but between two tests. */
const KEPT = ['registry_version', 'registry_release', 'registry_audit'];
const RESET = `
${KEPT.map((table) => `alter table ${table} disable trigger user;`).join(' ')}
truncate registry_model, registry_decision, ${KEPT.join(', ')}, serve_ledger, serve_vector;
update registry_state set revision = 0, audit_number = 0, audit_hash = '';
${KEPT.map((table) => `alter table ${table} enable trigger user;`).join(' ')}`;

const cleanup: (() => PromiseLike<unknown>)[] = [];
let folder: string;
let url: string;
let world: World;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tandem-serve-'));
  cleanup.push(() => rm(folder, { recursive: true }));
  const database = await freshDatabase();
  cleanup.push(() => database[Symbol.asyncDispose]());
  url = database.url;
  await using postgres = await openPostgres(url, { applicationName: 'serve test', connectionsMax: 3 });
  await postgres.migrate([registry.migrations, serve.migrations]);
}, 60_000);

afterAll(async () => {
  for (const step of cleanup) await step();
});

beforeEach(async () => {
  await administrate(url, RESET);
  world = await World.open(url, folder);
  return () => world[Symbol.asyncDispose]();
});

describe('a decision', () => {
  it('is refused until there is a release, then answered and recorded', async () => {
    await world.serve();
    expect(await failure(world.decide('score'))).toMatchObject({ code: 'NO_RELEASE', retryable: true });
    const { version } = await world.register(low);
    const release = await world.release('score', version);
    await world.until(release);
    const answer = await world.decide('score', { customerId: 42 });
    expect(answer).toMatchObject({
      decision: 'score',
      outcome: 'accept',
      release: 'score-1',
      asOf: 1_700_000_000_000,
    });
    expect(answer.score).toBe(scoreOf(low, [12.34, 3]));
    const entry = await world.call(routes.getLedgerEntry, { params: { decisionId: answer.decisionId } });
    expect(entry).toMatchObject({
      ...answer,
      subject: '42',
      vector: 'card',
      vectorHash: card.hash,
      values: [12.34, 3],
    });
    expect(entry.names).toEqual(['amount', 'customer_count_1d']);
    expect(entry.positions).toEqual({ payments: [7, 0, 9] });
    expect(await failure(world.decide('quick'))).toMatchObject({ code: 'NO_RELEASE' });
    expect(await failure(world.decide('none'))).toMatchObject({ code: 'DECISION_NOT_FOUND' });
    expect(
      await world.metric('serve_decisions_total{decision="score",outcome="accept",release="score-1"}'),
    ).toBeGreaterThan(0);
    expect(await world.metric('serve_in_flight')).toBe(0);
  });

  it('says what is wrong with a request', async () => {
    await world.serve();
    const error = await failure(world.decide('score', { amount: 'much' }));
    expect(error).toMatchObject({ code: 'BAD_REQUEST', details: { code: 'FIELD_TYPE', field: 'amount' } });
    const extra = await failure(world.decide('score', { more: 1 }));
    expect(extra).toMatchObject({ code: 'BAD_REQUEST', details: { code: 'FIELD_UNKNOWN', field: 'more' } });
  });

  it('takes a missing value as missing', async () => {
    await world.serve();
    world.features.second = null;
    const release = await world.release('score', (await world.register(low)).version);
    await world.until(release);
    expect((await world.decide('score')).score).toBe(scoreOf(low, [12.34, null]));
  });

  it('is refused when the features are away or of another version', async () => {
    const running = await world.serve();
    const release = await world.release('score', (await world.register(low)).version);
    await world.until(release);
    world.features.hash = digest('e');
    expect(await failure(world.decide('score'))).toMatchObject({
      code: 'UNAVAILABLE',
      details: { served: digest('e') },
    });
    expect(await running.ready()).toMatchObject({ ready: false });
    world.features.hash = card.hash;
    world.features.away = true;
    expect(await failure(world.decide('score'))).toMatchObject({ code: 'UNAVAILABLE' });
    expect(await running.ready()).toMatchObject({ ready: false });
    world.features.away = false;
    expect((await world.decide('score')).release).toBe(release.id);
    expect((await running.ready()).ready).toBe(true);
  });

  it('goes on with the vector of its release when the model of the decision has got another one', async () => {
    const wide = vector('wide', {
      candidate: payments,
      customer,
      amount: (c) => c.amount,
      more: (c) => c.amount,
    });
    const wider = defineModel('wider', { vector: wide, label: bad, trainer: logistic() });
    const score = decision('score', { model: wider, subject: 'customerId', outcomes: ['accept', 'review'] });
    const release = await world.release('score', (await world.register(low)).version);
    world.app = defineApp('test', { decisions: { score }, models: [risk] });
    const running = await world.serve();
    await world.until(release);
    expect([...world.features.vectors]).toEqual(['card']);
    const { decisionId } = await world.decide('score');
    const entry = await world.call(routes.getLedgerEntry, { params: { decisionId } });
    expect(entry).toMatchObject({
      vector: 'card',
      vectorHash: card.hash,
      names: ['amount', 'customer_count_1d'],
    });
    expect(await running.ready()).toEqual({ ready: true });
    await running.stop(1_000);

    // Without that vector there is nothing that the release could be answered with.
    world.app = defineApp('test', { decisions: { score } });
    const other = await world.serve();
    await expect
      .poll(() => other.ready(), { timeout: 10_000 })
      .toMatchObject({ ready: false, reason: expect.stringContaining("is for vector 'card'") });
  });

  it('shares vector reads, is bounded, and holds its deadline', async () => {
    await world.serve({ inFlightMax: 20, readsMax: 1 });
    const release = await world.release('score', (await world.register(low)).version);
    await world.until(release);
    world.features.batches = [];
    let go: () => void = () => undefined;
    world.features.hold = new Promise((resolve) => (go = resolve));
    const hurried = failure(world.decide('score', {}, 50));
    const crowd = Array.from({ length: 19 }, () => world.decide('score'));
    expect(await failure(world.decide('score'))).toMatchObject({ code: 'OVERLOADED', retryable: true });
    expect(await hurried).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    go();
    await Promise.all(crowd);
    expect(world.features.batches).toEqual([1, 19]);
    expect(await world.metric('serve_errors_total{decision="score",code="OVERLOADED"}')).toBe(1);
  });
});

describe('a release', () => {
  it('takes over under load: every answer is of one release, and none fails', async () => {
    await world.serve();
    const versions = [await world.register(low), await world.register(high)];
    const scores = [low, high].map((bytes) => scoreOf(bytes, [12.34, 3]));
    const scoreByRelease = new Map<string, number>();
    const publish = async (index: number): Promise<Release> => {
      const release = await world.release('score', versions[index % 2]?.version ?? 0);
      scoreByRelease.set(release.id, scores[index % 2] ?? Number.NaN);
      return release;
    };
    await world.until(await publish(0));
    const answers: DecisionAnswer[] = [];
    let stop = false;
    const clients = Array.from({ length: 16 }, async () => {
      while (!stop) answers.push(await world.decide('score'));
    });
    for (let index = 1; index <= 8; index += 1) await world.until(await publish(index));
    stop = true;
    await Promise.all(clients);
    for (const answer of answers) {
      expect(answer.score).toBe(scoreByRelease.get(answer.release));
      expect(answer.outcome).toBe(answer.score >= 0.5 ? 'review' : 'accept');
    }
    expect(new Set(answers.map((answer) => answer.release)).size).toBeGreaterThan(4);
  });

  it('reaches serve by its signal alone', async () => {
    await world.serve({ pollMs: 60_000 });
    const { version } = await world.register(low);
    const releasing = async (): Promise<string> => {
      // Again and again, for the listener may not be connected at the first time.
      await world.release('score', version);
      await clock.sleep(50);
      return world.decide('score').then((answer) => answer.decision, String);
    };
    await expect.poll(releasing, { timeout: 15_000 }).toBe('score');
  });

  it('that cannot be loaded never takes over', async () => {
    const running = await world.serve({ pollMs: 20 });
    const good = await world.release('score', (await world.register(low)).version);
    await world.until(good);
    const broken = await world.release('score', (await world.register(new Uint8Array([1, 2, 3]))).version);
    await expect.poll(async () => (await running.ready()).reason, { timeout: 10_000 }).toContain(broken.id);
    expect((await running.ready()).ready).toBe(true);
    expect((await world.decide('score')).release).toBe(good.id);
    const narrow = {
      means: Float64Array.of(0),
      scales: Float64Array.of(1),
      coefficients: Float64Array.of(1),
    };
    const bytes = encodeLogistic({ kind: 'logistic', ...narrow, intercept: 0, iterations: 1 });
    const wrong = await world.release('score', (await world.register(bytes)).version);
    await expect.poll(async () => (await running.ready()).reason, { timeout: 10_000 }).toContain(wrong.id);
    expect((await world.decide('score')).release).toBe(good.id);
    await world.until(await world.release('score', (await world.register(high)).version));
    expect((await running.ready()).ready).toBe(true);
  });

  it('goes on while the registry is away', async () => {
    const running = await world.serve({ pollMs: 20 });
    const release = await world.release('score', (await world.register(low)).version);
    await world.until(release);
    world.registryAway = true;
    await expect
      .poll(() => world.metric('serve_release_age_seconds'), { timeout: 10_000 })
      .toBeGreaterThan(0.05);
    expect((await world.decide('score')).release).toBe(release.id);
    expect(await running.ready()).toMatchObject({
      ready: true,
      reason: expect.stringContaining('registry') as string,
    });
    world.registryAway = false;
    await expect
      .poll(() => world.metric('serve_release_age_seconds'), { timeout: 10_000 })
      .toBeLessThan(0.05);
  });
});

describe('the ledger', () => {
  it('has every durable decision that was answered, also for those who connect later', async () => {
    await world.serve();
    await world.until(await world.release('score', (await world.register(low)).version));
    const answers = await Promise.all(Array.from({ length: 300 }, () => world.decide('score')));
    await world.postgres.close();
    await using reopened = await openPostgres(world.url, {
      applicationName: 'serve test',
      connectionsMax: 3,
    });
    const rows = await reopened.tables.query<{
      decision_id: string;
      release: string;
      score: number;
      outcome: string;
    }>('select decision_id, release, score, outcome from serve_ledger');
    const recorded = new Map(rows.map((row) => [row.decision_id, row]));
    for (const { decisionId, release, score, outcome } of answers) {
      expect(recorded.get(decisionId)).toEqual({ decision_id: decisionId, release, score, outcome });
    }
  });

  it('refuses durable decisions while the database is away and buffers the others', async () => {
    const running = await world.serve({ ledgerBufferMax: 20 });
    const { version } = await world.register(low);
    await world.until(await world.release('score', version));
    await world.until(await world.release('quick', version));
    await expect.poll(() => world.metric('serve_ledger_buffered_entries')).toBe(0);
    world.tables = away;
    expect(await failure(world.decide('score'))).toMatchObject({ code: 'UNAVAILABLE' });
    expect(await running.ready()).toMatchObject({ ready: false });
    const answers: DecisionAnswer[] = [];
    for (let index = 0; index < 20; index += 1) answers.push(await world.decide('quick'));
    expect(await world.metric('serve_ledger_buffered_entries')).toBe(20);
    const params = { decisionId: answers[7]?.decisionId ?? '' };
    const entry = await world.call(routes.getLedgerEntry, { params });
    expect(entry).toMatchObject({ ...answers[7], subject: 'c1', names: ['amount', 'customer_count_1d'] });
    expect(await failure(world.decide('quick', {}, 30))).toMatchObject({ code: 'UNAVAILABLE' });
    world.tables = world.postgres.tables;
    await world.decide('quick');
    await expect.poll(() => world.metric('serve_ledger_buffered_entries'), { timeout: 10_000 }).toBe(0);
    expect(await world.call(routes.getLedgerEntry, { params })).toEqual(entry);
    expect((await running.ready()).ready).toBe(true);
  });

  it('has everything that was answered after a stop', async () => {
    const running = await world.serve();
    const { version } = await world.register(low);
    await world.until(await world.release('quick', version));
    const answers = await Promise.all(Array.from({ length: 200 }, () => world.decide('quick')));
    const underWay = Array.from({ length: 20 }, () => world.decide('quick'));
    await running.stop(10_000);
    answers.push(...(await Promise.all(underWay)));
    expect(await failure(world.decide('quick'))).toMatchObject({ code: 'UNAVAILABLE' });
    const ids = answers.map((answer) => answer.decisionId);
    const rows = await world.postgres.tables.query('select from serve_ledger where decision_id = any($1)', [
      ids,
    ]);
    expect(rows).toHaveLength(220);
  });

  it('replays a decision bit for bit, by the release that made it', async () => {
    await world.serve();
    const first = await world.release('score', (await world.register(low)).version, 0.1);
    await world.until(first);
    world.features.second = -0;
    const answer = await world.decide('score', { amount: 0.07 });
    await world.until(await world.release('score', (await world.register(high)).version));
    const params = { decisionId: answer.decisionId };
    const replayed = await world.call(routes.replayDecision, { params });
    expect(replayed).toMatchObject({ equal: true, differences: [], recomputed: { score: answer.score } });
    world.features.second = 1e-300;
    const other = await world.call(routes.replayDecision, { params });
    expect(other).toMatchObject({ equal: false, differences: ['customer_count_1d'] });
    const unknown = world.call(routes.replayDecision, { params: { decisionId: systemRandom().id() } });
    expect(await failure(unknown)).toMatchObject({ code: 'DECISION_NOT_FOUND' });
  });
});

describe('readiness', () => {
  it('needs an answer of the registry, then every release loaded', async () => {
    world.registryAway = true;
    const running = await world.serve({ pollMs: 20 });
    expect(await running.ready()).toMatchObject({ ready: false });
    world.registryAway = false;
    await expect.poll(async () => (await running.ready()).ready, { timeout: 10_000 }).toBe(true);
    expect((await running.ready()).reason).toContain('no release yet for score, quick');
    await world.release('score', (await world.register(new Uint8Array([9]))).version);
    await expect.poll(async () => (await running.ready()).ready, { timeout: 10_000 }).toBe(false);
    expect(await failure(world.decide('score'))).toMatchObject({ code: 'NO_RELEASE' });
    await world.release('score', (await world.register(low)).version);
    await expect.poll(async () => (await running.ready()).ready, { timeout: 10_000 }).toBe(true);
  });
});

describe('options', () => {
  it('are read from text and refuse what they do not know', () => {
    expect(serve.options.parse({ batchMax: '64' })).toMatchObject({ batchMax: 64, ledgerBufferMax: 10_000 });
    expect(() => serve.options.parse({ batchMaximum: 64 })).toThrow();
    expect(() => serve.options.parse({ pollMs: 0 })).toThrow();
  });
});
