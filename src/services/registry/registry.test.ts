import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freshDatabase } from '../../../test/conformance/embedded-server.ts';
import { directoryObjects } from '../../adapters/objects/directory.ts';
import { openPostgres, type Postgres } from '../../adapters/postgres/pool.ts';
import {
  type InputOf,
  type ModelVersion,
  type CardForm,
  type ModelVersionInput,
  PlatformError,
  type Release,
  RELEASE_SIGNAL,
  type ResultOf,
  type AnyRoute,
  routes,
  type VerificationSummary,
} from '../../contract/index.ts';
import {
  type App,
  atLeast,
  decision,
  defineApp,
  defineModel,
  features,
  id,
  key,
  label,
  logistic,
  money,
  count,
  source,
  timestamp,
  vector,
} from '../../define/index.ts';
import {
  type CallContext,
  noFailPoints,
  type RunningService,
  type ServiceHost,
} from '../../runtime/index.ts';
import { registry, type RegistryOptions, verifyAudit } from './index.ts';

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
const card = vector('card', { candidate: payments, customer, amount: (c) => c.amount });
const gate = atLeast('averagePrecision', 0.3);
const linear = defineModel('risk', { vector: card, label: bad, trainer: logistic(), gates: [gate] });
const free = defineModel('free', { vector: card, label: bad, trainer: logistic() });
const app: App = defineApp('test', {
  decisions: {
    score: decision('score', {
      model: linear,
      subject: 'customerId',
      threshold: 0.25,
      outcomes: ['accept', 'review'],
    }),
    other: decision('other', { model: linear, subject: 'customerId' }),
    careful: decision('careful', {
      model: linear,
      subject: 'customerId',
      verified: { values: 1_000, within: '1d' },
    }),
  },
  models: [free],
});

const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;

let postgres: Postgres;
let folder: string;
let running: RunningService;
let onnx: { digest: string; bytes: number };
const cleanup: (() => PromiseLike<unknown>)[] = [];
let serial = 0;
/** What the features service answers to a question for verifications. */
let verifications: (
  query: InputOf<typeof routes.listVerifications>['query'],
) => VerificationSummary[] = () => [];
let now = 1_700_000_000_000;

beforeAll(async () => {
  const database = await freshDatabase();
  cleanup.push(() => database[Symbol.asyncDispose]());
  postgres = await openPostgres(database.url, { applicationName: 'registry test', connectionsMax: 16 });
  cleanup.unshift(() => postgres.close());
  await postgres.migrate([registry.migrations]);
  folder = await mkdtemp(join(tmpdir(), 'tandem-registry-'));
  cleanup.push(() => rm(folder, { recursive: true }));
  const objects = directoryObjects(folder);
  onnx = await objects.put(new Uint8Array([1, 2, 3]));
  const { tables, signals } = postgres;
  const clock = { now: () => (now += 1) };
  running = await registry.start({
    app,
    tables,
    signals,
    objects,
    clock,
    failPoints: noFailPoints,
    call: (_: unknown, { query }: InputOf<typeof routes.listVerifications>) =>
      Promise.resolve().then(() => ({ verifications: verifications(query), next: null })),
  } as unknown as ServiceHost<RegistryOptions>);
}, 60_000);

afterAll(async () => {
  for (const step of cleanup) await step();
});

async function call<TRoute extends AnyRoute>(
  route: TRoute,
  input: Partial<InputOf<TRoute>>,
): Promise<ResultOf<TRoute>> {
  const entry = running.handlers.find((candidate) => candidate.route === (route as unknown));
  const parsed = {
    params: route.params.parse(input.params ?? {}),
    query: route.query.parse(input.query ?? {}),
    body: route.body.parse(input.body ?? {}),
  };
  const context: CallContext = {
    requestId: 'test',
    principal: { subject: 'test', roles: ['admin'] },
    deadlineMs: Infinity,
    signal: new AbortController().signal,
  };
  return route.result.parse(await entry?.handle(parsed, context)) as ResultOf<TRoute>;
}

function versionInput(
  changes: Partial<ModelVersionInput> = {},
  vectorHash: string = card.hash,
): ModelVersionInput {
  serial += 1;
  return {
    onnx,
    signature: {
      inputs: [{ name: 'amount', type: 'float32', nullable: true }],
      outputs: [{ name: 'score', type: 'float32' }],
    },
    metrics: { averagePrecision: 0.1 + 0.2 },
    gates: [{ ...gate, value: 0.1 + 0.3, passed: true }],
    lineage: {
      run: `run\0${String(serial)}`,
      dataset: digest('a'),
      vectorHash,
      labelHash: bad.hash,
      modelHash: linear.hash,
      appHash: app.hash,
      codeVersion: '1',
      trainer: { kind: 'logistic', c: 1 },
      seed: 0,
      asOf: 1,
    },
    idempotencyKey: `key-${String(serial)}`,
    ...changes,
  };
}

function register(model: string, input: ModelVersionInput = versionInput()): Promise<ModelVersion> {
  return call(routes.registerVersion, { params: { model }, body: input });
}

function release(body: InputOf<typeof routes.createRelease>['body']): Promise<Release> {
  return call(routes.createRelease, { body });
}

async function failure(work: Promise<unknown>): Promise<PlatformError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!PlatformError.is(error)) throw new Error(`Expected a PlatformError, got ${String(error)}`);
  return error;
}

describe('versions', () => {
  it('gives racing clients distinct numbers without gaps', async () => {
    const made = await Promise.all(Array.from({ length: 40 }, () => register('free')));
    const numbers = made.map((item) => item.version).toSorted((a, b) => a - b);
    const first = numbers[0] ?? 0;
    expect(numbers).toEqual(Array.from({ length: 40 }, (_, index) => first + index));
    expect(first).toBe(1);
  });

  it('answers a repeated key with the same version, also when the repetitions race', async () => {
    const input = versionInput();
    const made = await Promise.all(Array.from({ length: 10 }, () => register('free', input)));
    expect(new Set(made.map((item) => item.version)).size).toBe(1);
    expect(await register('free', input)).toEqual(made[0]);
    const changed = { ...input, metrics: { averagePrecision: 0.9 } };
    expect(await failure(register('free', changed))).toMatchObject({ code: 'CONFLICT' });
    const next = await register('free');
    expect(next.version).toBe((made[0]?.version ?? 0) + 1);
  });

  it('returns what was registered, exactly', async () => {
    const input = versionInput();
    const { idempotencyKey: _, ...bundle } = input;
    const made = await register('risk', input);
    expect(made).toEqual({
      ...bundle,
      model: 'risk',
      version: made.version,
      createdAt: made.createdAt,
      passed: true,
    });
    expect(await call(routes.getVersion, { params: { model: 'risk', version: made.version } })).toEqual(made);
  });

  it('gives the card that came with a version, and says when none did', async () => {
    const store = (text: string): Promise<{ digest: string; bytes: number }> =>
      directoryObjects(folder).put(new TextEncoder().encode(text));
    const [markdown, html, report] = await Promise.all(['# Card', '<h1>Card</h1>', '{}'].map(store));
    if (markdown === undefined || html === undefined || report === undefined) throw new Error('not stored');
    const { version } = await register('risk', versionInput({ report, card: { markdown, html } }));
    const read = async (form?: CardForm): Promise<string> =>
      (
        await call(routes.getCard, {
          params: { model: 'risk', version },
          query: { form } as { form: CardForm },
        })
      ).text;
    expect([await read(), await read('html'), await read('report')]).toEqual([
      '# Card',
      '<h1>Card</h1>',
      '{}',
    ]);
    const before = await register('risk');
    const missing = call(routes.getCard, { params: { model: 'risk', version: before.version } });
    expect(await failure(missing)).toMatchObject({ code: 'OBJECT_NOT_FOUND' });
    const absent = versionInput({ card: { markdown: { digest: digest('c'), bytes: 1 }, html } });
    expect(await failure(register('risk', absent))).toMatchObject({ code: 'OBJECT_NOT_FOUND' });
  });

  it('refuses unknown models and files that are not stored', async () => {
    expect(await failure(register('none'))).toMatchObject({ code: 'MODEL_NOT_FOUND' });
    const absent = versionInput({ onnx: { digest: digest('b'), bytes: 1 } });
    expect(await failure(register('risk', absent))).toMatchObject({ code: 'OBJECT_NOT_FOUND' });
    const missing = call(routes.getVersion, { params: { model: 'risk', version: 10 ** 12 } });
    expect(await failure(missing)).toMatchObject({ code: 'MODEL_NOT_FOUND' });
    const nul = versionInput({ idempotencyKey: 'a\0b' });
    expect(await failure(register('risk', nul))).toMatchObject({ code: 'BAD_REQUEST' });
  });

  it('counts a version as passed only when every asked gate has a verdict that passed', async () => {
    const failed = { ...gate, value: 0.2, passed: false };
    expect((await register('risk', versionInput({ gates: [failed] }))).passed).toBe(false);
    expect((await register('risk', versionInput({ gates: [] }))).passed).toBe(false);
    const easier = { ...gate, bound: 0.1, value: 0.2, passed: true };
    expect((await register('risk', versionInput({ gates: [easier] }))).passed).toBe(false);
    expect((await register('free', versionInput({ gates: [] }))).passed).toBe(true);
    const claimed = versionInput({ gates: [{ ...failed, passed: true }] });
    expect(await failure(register('risk', claimed))).toMatchObject({ code: 'UNPROCESSABLE' });
  });

  it('pages newest first and lists models with their newest version', async () => {
    const seen: number[] = [];
    let after: string | undefined;
    do {
      const query = { limit: 7, ...(after === undefined ? {} : { after }) };
      const page = await call(routes.listVersions, { params: { model: 'free' }, query });
      seen.push(...page.versions.map((item) => item.version));
      after = page.next ?? undefined;
    } while (after !== undefined);
    expect(seen).toEqual(Array.from({ length: seen.length }, (_, index) => seen.length - index));
    const { models } = await call(routes.listModels, {});
    expect(models.map((item) => item.model)).toEqual(['risk', 'free']);
    expect(models[1]?.newest?.version).toBe(seen.length);
    const wrong = call(routes.listVersions, { params: { model: 'free' }, query: { after: 'x', limit: 1 } });
    expect(await failure(wrong)).toMatchObject({ code: 'BAD_REQUEST' });
  });
});

describe('releases', () => {
  it('puts a version in charge and raises the revision in the same transaction', async () => {
    const { version } = await register('risk');
    const before = await call(routes.getCurrentReleases, {});
    let wakes = 0;
    const unsubscribe = postgres.signals.subscribe(RELEASE_SIGNAL, () => (wakes += 1));
    const made = await release({ decision: 'score', version, reason: 'first' });
    expect(made).toMatchObject({
      decision: 'score',
      model: 'risk',
      version,
      onnx,
      vector: 'card',
      threshold: 0.25,
    });
    expect(made).toMatchObject({ vectorHash: card.hash, outcomes: ['accept', 'review'], reason: 'first' });
    expect(made.id).toBe(`score-${String(made.number)}`);
    const current = await call(routes.getCurrentReleases, {});
    expect(current.revision).toBe(before.revision + 1);
    expect(current.releases).toContainEqual(made);
    expect(await call(routes.getRelease, { params: { id: made.id } })).toEqual(made);
    // The listener may not have been connected yet when the first signal went out.
    await expect
      .poll(async () => {
        await release({ decision: 'score', version, threshold: 0.75 });
        return wakes;
      })
      .toBeGreaterThan(0);
    unsubscribe();
  });

  it('refuses a version whose gates did not pass, with the verdicts', async () => {
    const verdict = { ...gate, value: 0.1, passed: false };
    const { version } = await register('risk', versionInput({ gates: [verdict] }));
    const error = await failure(release({ decision: 'score', version }));
    expect(error).toMatchObject({ code: 'GATE_FAILED', details: { failed: [verdict], missing: [] } });
    const silent = await register('risk', versionInput({ gates: [] }));
    const second = await failure(release({ decision: 'score', version: silent.version }));
    expect(second).toMatchObject({ code: 'GATE_FAILED', details: { failed: [], missing: [gate] } });
  });

  it('asks for verified features where the decision does, but for its first release', async () => {
    const { version } = await register('risk');
    verifications = () => {
      throw new PlatformError('UNAVAILABLE', 'features are away');
    };
    const first = await release({ decision: 'careful', version, idempotencyKey: 'careful-1' });
    expect(await failure(release({ decision: 'careful', version }))).toMatchObject({ code: 'UNAVAILABLE' });
    // The answer to a repeated key is what it was.
    expect(await release({ decision: 'careful', version, idempotencyKey: 'careful-1' })).toEqual(first);

    const endedAt = now;
    const counts = { decisions: 300, rows: 200, values: 1_200, mismatches: 0, notRecomputable: 100 };
    const times = { createdAt: now, endedAt, since: 0, until: now, sample: 200 };
    const equal: VerificationSummary = { id: 'v1', state: 'done', ...times, ...counts, error: null };
    for (const [found, words] of [
      [[], 'no verification has compared 1000 values'],
      [[{ ...equal, mismatches: 2 }], '2 of 1200 values came out different'],
      [[{ ...equal, endedAt: endedAt - 90_000_000 }], 'ended 25 h ago, at most 24 h are allowed'],
    ] as const) {
      verifications = (query) => {
        expect(query).toMatchObject({ valuesMin: 1_000, limit: 1 });
        return [...found];
      };
      const refused = await failure(release({ decision: 'careful', version }));
      expect(refused).toMatchObject({ code: 'GATE_FAILED' });
      expect(refused.message).toContain(words);
    }
    expect((await call(routes.getCurrentReleases, {})).releases).toContainEqual(first);
    verifications = () => [equal];
    expect((await release({ decision: 'careful', version })).number).toBe(2);
  });

  it('refuses a version trained for another vector, naming both', async () => {
    const { version } = await register('risk', versionInput({}, digest('c')));
    const error = await failure(release({ decision: 'score', version }));
    expect(error).toMatchObject({
      code: 'UNPROCESSABLE',
      details: { trained: digest('c'), current: card.hash },
    });
    expect(error.message).toContain(digest('c'));
    expect(error.message).toContain(card.hash);
  });

  it('refuses unknown decisions, versions and releases', async () => {
    expect(await failure(release({ decision: 'none', version: 1 }))).toMatchObject({
      code: 'DECISION_NOT_FOUND',
    });
    expect(await failure(release({ decision: 'score', version: 9_999 }))).toMatchObject({
      code: 'MODEL_NOT_FOUND',
    });
    for (const unknown of ['score-0', 'score', 'score-99999', 'a\0-1', '-1']) {
      const error = await failure(call(routes.getRelease, { params: { id: unknown } }));
      expect(error).toMatchObject({ code: 'RELEASE_NOT_FOUND' });
    }
  });

  it('compares and sets: of many racing releases that expect the same one, one wins', async () => {
    const { version } = await register('risk');
    const first = await release({ decision: 'other', version, expected: null });
    expect(first.number).toBe(1);
    const racing = Array.from({ length: 12 }, () =>
      release({ decision: 'other', version, expected: first.id }),
    );
    const settled = await Promise.allSettled(racing);
    const won = settled.filter((item) => item.status === 'fulfilled');
    expect(won).toHaveLength(1);
    expect(won[0]?.value.number).toBe(2);
    for (const item of settled) {
      if (item.status === 'fulfilled') continue;
      expect(item.reason).toMatchObject({
        code: 'CONFLICT',
        details: { expected: first.id, current: 'other-2' },
      });
    }
    expect(await failure(release({ decision: 'other', version, expected: null }))).toMatchObject({
      code: 'CONFLICT',
    });
  });

  it('numbers racing releases of a decision without gaps and answers each key once', async () => {
    const { version } = await register('risk');
    const before = (await call(routes.getCurrentReleases, {})).revision;
    const made = await Promise.all(Array.from({ length: 20 }, () => release({ decision: 'other', version })));
    const numbers = made.map((item) => item.number).toSorted((a, b) => a - b);
    expect(numbers).toEqual(Array.from({ length: 20 }, (_, index) => (numbers[0] ?? 0) + index));
    expect((await call(routes.getCurrentReleases, {})).revision).toBe(before + 20);
    const body = {
      decision: 'other',
      version,
      idempotencyKey: 'once',
      expected: `other-${String(numbers.at(-1))}`,
    };
    const same = await Promise.all(Array.from({ length: 8 }, () => release(body)));
    expect(new Set(same.map((item) => item.id)).size).toBe(1);
    // Long after, when `expected` no longer holds, the answer is still the same.
    await release({ decision: 'other', version });
    expect(await release(body)).toEqual(same[0]);
    expect(await failure(release({ ...body, threshold: 0.9 }))).toMatchObject({ code: 'CONFLICT' });
  });

  it('lists newest first, of one decision and of all', async () => {
    for (const decisionName of ['other', undefined]) {
      const seen: Release[] = [];
      let after: string | undefined;
      do {
        const query = {
          limit: 4,
          ...(after === undefined ? {} : { after }),
          ...(decisionName === undefined ? {} : { decision: decisionName }),
        };
        const page = await call(routes.listReleases, { query });
        seen.push(...page.releases);
        after = page.next ?? undefined;
      } while (after !== undefined);
      const [{ total } = { total: 0 }] = await postgres.tables.query<{ total: number }>(
        'select count(*) as total from registry_release where $1::text is null or decision = $1',
        [decisionName ?? null],
      );
      expect(new Set(seen.map((item) => item.id)).size).toBe(total);
      expect(seen.map((item) => item.createdAt)).toEqual(
        seen.map((item) => item.createdAt).toSorted((a, b) => b - a),
      );
    }
  });
});

describe('what is written', () => {
  it('stays: the database refuses changes', async () => {
    for (const table of ['registry_version', 'registry_release', 'registry_audit']) {
      await expect(postgres.tables.query(`delete from ${table}`)).rejects.toThrow(/never changed/);
      await expect(postgres.tables.query(`truncate ${table} cascade`)).rejects.toThrow(/never changed/);
    }
    await expect(postgres.tables.query(`update registry_audit set at = 0`)).rejects.toThrow(/never changed/);
  });

  it('has one audit row for each write, chained so that a change shows', async () => {
    const { tables } = postgres;
    const [{ writes } = { writes: 0 }] = await tables.query<{ writes: number }>(
      'select (select count(*) from registry_version) + (select count(*) from registry_release) as writes',
    );
    expect(await verifyAudit(tables)).toEqual({ rows: writes });
    const rows = await tables.query<{ details: { actor: string } }>('select details from registry_audit');
    expect(new Set(rows.map(({ details }) => details.actor))).toEqual(new Set(['test']));
    await tables.query('alter table registry_audit disable trigger all');
    await tables.query(`update registry_audit set subject = subject || '0' where number = 7`);
    expect(await verifyAudit(tables)).toMatchObject({ brokenAt: 7 });
    await tables.query(`update registry_audit set subject = left(subject, -1) where number = 7`);
    await tables.query('delete from registry_audit where number = $1', [writes]);
    expect(await verifyAudit(tables)).toMatchObject({ brokenAt: writes });
  });
});
