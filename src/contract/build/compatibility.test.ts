import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { grownApp, shelf, shopApp, views } from '../../../test/support/recommend-shop.ts';
import {
  boolean,
  count,
  decision,
  defineApp,
  defineModel,
  defineRecommender,
  ease,
  embedding,
  features,
  id,
  integer,
  key,
  label,
  logistic,
  byTime,
  pick,
  source,
  text,
  timestamp,
  vector,
} from '../../define/index.ts';
import type { App, Field, FieldExpressions } from '../../define/index.ts';
import type { AnyRoute, ServiceName } from '../route.ts';
import { routes } from '../routes/index.ts';
import { incompatibilities } from './compatibility.ts';
import {
  contractHash,
  describeBuild,
  type Party,
  readBuildContract,
  type StepContract,
} from './description.ts';
import { breakingWords } from './migration-compatibility.ts';

interface AppChange {
  readonly fields?: Readonly<Record<string, Field>>;
  readonly window?: '1d' | '2d';
  readonly second?: boolean;
  /** What the group has beside its one feature, and what its name is. */
  readonly grown?: 'added' | 'renamed' | 'other filter';
  /** Vector `basket` takes the feature that it always had, and no other. */
  readonly picks?: boolean;
  /** Decision `check` is answered by a model with a vector of its own; the old model stays unless `drops`. */
  readonly moved?: 'keeps' | 'drops';
  /** Orders may be corrected and deleted. */
  readonly corrections?: boolean;
}

function app(change: AppChange = {}): App {
  const orders = source('orders', {
    id: 'orderId',
    time: 'at',
    key: 'customerId',
    corrections: change.corrections ?? false,
    fields: { orderId: id(), at: timestamp(), customerId: key() },
  });
  const reports = source('reports', {
    id: 'reportId',
    time: 'at',
    key: 'orderId',
    fields: { reportId: id(), at: timestamp(), orderId: key(), ...change.fields },
  });
  const bad = label('bad', { of: orders, from: reports, on: 'orderId', maturesAfter: '7d' });
  const { grown } = change;
  const where = (order: FieldExpressions<typeof orders.fields>) => order.at.toNumber().atLeast(1);
  const customer = features(
    'customer',
    { from: orders, key: 'customerId', ...(grown === 'other filter' ? { where } : {}) },
    () => {
      const own = count().over(change.window ?? '1d');
      if (grown === 'added') return { early: count().over('2h'), orders: own };
      return grown === 'renamed' ? { purchases: own } : { orders: own };
    },
  );
  const model = (name: string) =>
    defineModel(name, {
      vector: vector(name, {
        candidate: orders,
        customer: change.picks === true && name === 'basket' ? pick(customer, 'orders_1d') : customer,
      }),
      label: bad,
      trainer: logistic(),
      split: byTime(),
      gates: [],
    });
  const answering = model(change.moved === undefined ? 'basket' : 'grown');
  const first = decision('check', { model: answering, subject: 'customerId' });
  const second = decision('again', { model: model('basket2'), subject: 'customerId' });
  return defineApp('shop', {
    decisions: change.second === true ? { check: first, again: second } : { check: first },
    sources: [reports],
    models: change.moved === 'keeps' ? [model('basket')] : [],
  });
}

interface Change {
  readonly app?: App;
  /** Routes in place of those with the same name; `null` takes one away. */
  readonly routes?: Readonly<Record<string, AnyRoute | null>>;
  readonly calls?: readonly AnyRoute[];
  readonly steps?: readonly StepContract[];
}

const STEPS: readonly StepContract[] = [{ number: 1, name: 'tables', checksum: 'a', additive: false }];

function party(service: ServiceName, build: string, change: Change = {}): Party {
  const changed = change.routes ?? {};
  const all = Object.values<AnyRoute>(routes).flatMap((route) => {
    const other = changed[route.name];
    return other === null ? [] : [other ?? route];
  });
  const contract = describeBuild({
    platform: '1.0.0',
    services: [
      {
        name: service,
        provides: all.filter((route) => route.service === service),
        calls:
          change.calls ??
          (service === 'serve' ? [all.find(({ name }) => name === 'readVector') ?? routes.readVector] : []),
      },
    ],
    app: change.app ?? app(),
    migrations: { [service]: change.steps ?? STEPS },
  });
  // As it comes from another process.
  const read = readBuildContract(JSON.parse(JSON.stringify(contract)));
  if (read === undefined) throw new Error('the description cannot be read');
  return { service, build, contract: read };
}

const { readVector } = routes;
const readBody = readVector.body as unknown as z.ZodObject;
const readResult = readVector.result as unknown as z.ZodObject;
const withBody = (body: z.ZodType): AnyRoute => ({ ...readVector, body }) as AnyRoute;
const withResult = (result: z.ZodType): AnyRoute => ({ ...readVector, result }) as AnyRoute;

const OLD_SERVE = party('serve', 'old');
const OLD_FEATURES = party('features', 'old');

/** What is wrong with features of a new build beside a serve that runs. */
function newFeatures(change: Change): string[] {
  return incompatibilities(party('features', 'new', change), [OLD_SERVE]);
}

describe('a build beside those that run', () => {
  it('is fine when nothing changed, and has the same contract', () => {
    for (const service of ['ingest', 'features', 'train', 'registry', 'serve'] as const) {
      const same = party(service, 'new');
      expect(incompatibilities(same, [party(service, 'old'), OLD_SERVE, OLD_FEATURES])).toEqual([]);
      expect(contractHash(same.contract)).toBe(contractHash(party(service, 'old').contract));
    }
  });

  it('may take more and give more', () => {
    const body = withBody(readBody.extend({ trace: z.boolean().optional() }));
    const result = withResult(readResult.extend({ tookMs: z.number() }));
    expect(newFeatures({ routes: { readVector: body } })).toEqual([]);
    expect(newFeatures({ routes: { readVector: result } })).toEqual([]);
  });

  it.each([
    [
      'needs a member that does not come',
      withBody(readBody.extend({ tenant: z.string() })),
      'body.tenant is needed, but need not come',
    ],
    [
      'takes a smaller range',
      withBody(readBody.extend({ waitMs: z.number().int().min(0).max(100).default(9) })),
      'body.waitMs takes at most 100, up to 60000 may come',
    ],
    [
      'does not know a member',
      withBody(readBody.omit({ record: true })),
      'body.record is not known, but may come',
    ],
    [
      'leaves out what is read',
      withResult(readResult.omit({ hash: true })),
      'result.hash is needed, but need not come',
    ],
    [
      'answers of another type',
      withResult(readResult.extend({ names: z.string() })),
      'result.names takes array, string may come',
    ],
    [
      'moved',
      { ...readVector, path: '/v2/vectors/{vector}/read' } as AnyRoute,
      'it is at POST /v2/vectors/{vector}/read',
    ],
    [
      'may not be repeated',
      { ...readVector, idempotent: false } as AnyRoute,
      'it may not be repeated any more, but callers do',
    ],
  ])('is refused when a route %s', (_, route, reason) => {
    expect(newFeatures({ routes: { readVector: route } })).toEqual([
      `serve (old) calls POST /v1/vectors/{vector}/read (readVector) of features (new): ${reason}`,
    ]);
  });

  it('is refused when a route is gone, for a service that calls it and for callers from outside', () => {
    const gone = party('features', 'new', { routes: { readVector: null } });
    expect(incompatibilities(gone, [OLD_SERVE])).toEqual([
      'serve (old) calls POST /v1/vectors/{vector}/read (readVector), which features (new) does not answer',
    ]);
    expect(incompatibilities(gone, [OLD_FEATURES])).toEqual([
      'features POST /v1/vectors/{vector}/read (readVector) is answered by old and not by new',
    ]);
  });

  it('is refused when it calls what a neighbour that runs does not answer', () => {
    const route = { ...readVector, name: 'readVectors', path: '/v1/vectors' } as AnyRoute;
    const serve = party('serve', 'new', { calls: [route] });
    expect(incompatibilities(serve, [OLD_FEATURES])).toEqual([
      'serve (new) calls POST /v1/vectors (readVectors), which features (old) does not answer',
    ]);
    const more = party('serve', 'new', {
      calls: [withBody(readBody.extend({ trace: z.boolean().optional() }))],
    });
    expect(incompatibilities(more, [OLD_FEATURES])[0]).toContain('body.trace is not known, but may come');
  });

  it('is refused when an answer for callers from outside loses a value', () => {
    const result = (routes.decide.result as unknown as z.ZodObject).extend({ score: z.string() });
    const serve = party('serve', 'new', { routes: { decide: { ...routes.decide, result } as AnyRoute } });
    expect(incompatibilities(serve, [OLD_SERVE])).toEqual([
      'serve POST /v1/decisions/{decision} (decide) of new, for callers that know old: result.score takes number, string may come',
    ]);
  });
});

describe('the app of a build', () => {
  it('may not change a vector that runs, in whichever order', () => {
    const changed = app({ window: '2d' });
    for (const [candidate, other] of [
      [party('serve', 'new', { app: changed }), OLD_FEATURES],
      [party('features', 'new', { app: changed }), OLD_SERVE],
    ] as const) {
      const [problem, ...more] = incompatibilities(candidate, [other]);
      expect(problem).toMatch(/^vector 'basket' is another one in serve .* name of its own; it would break /);
      expect(problem).toContain("it would break model 'basket' and decision 'check'");
      expect(more).toEqual([]);
    }
  });

  it('says what of a vector is another one', () => {
    const wordsOf = (change: AppChange): string => newFeatures({ app: app(change) }).join('; ');
    expect(wordsOf({ window: '2d' })).toContain("feature 'orders_1d' of group 'customer' is gone");
    expect(wordsOf({ grown: 'renamed' })).toContain("feature 'orders_1d' of group 'customer' is gone");
    expect(wordsOf({ grown: 'added' })).toContain(
      "feature 'early_2h' of group 'customer' is added: pick() the ones it had",
    );
    expect(wordsOf({ grown: 'other filter' })).toContain(
      "group 'customer' has another key, source, filter or way to cut windows",
    );
  });

  it('may let a group grow under a vector that picks, and give the new feature to another vector', () => {
    expect(newFeatures({ app: app({ grown: 'added', picks: true }) })).toEqual([]);
    const grown = { grown: 'added', picks: true, second: true } as const;
    expect(newFeatures({ app: app(grown) })).toEqual([]);
    const features = party('features', 'new', { app: app(grown) });
    expect(incompatibilities(party('serve', 'new', { app: app(grown) }), [features, OLD_SERVE])).toEqual([]);
    // What a picked feature is computed by may change no more than that of any other.
    expect(newFeatures({ app: app({ ...grown, window: '1d', grown: 'other filter' }) })[0]).toContain(
      "vector 'basket' is another one",
    );
  });

  it('may answer a decision by another model while the vector of its releases stays', () => {
    const moved = (how: 'keeps' | 'drops'): string[] => {
      const build = { app: app({ grown: 'added', picks: true, moved: how }) };
      return incompatibilities(party('serve', 'new', build), [OLD_SERVE, party('features', 'new', build)]);
    };
    expect(moved('keeps')).toEqual([]);
    expect(moved('drops')).toEqual([
      "decision 'check' is answered by releases of vector 'basket', which serve (new) does not have: keep it beside the new one " +
        "(list its model in the app's models) until a release of the new one is in charge",
    ]);
  });

  it('may rank a recommendation by another model, or have another recommender, while those of its releases stay', () => {
    const partyOf = (service: ServiceName, build: string, of: App): Party =>
      party(service, build, { app: of });
    const before = shopApp();
    const running = partyOf('serve', 'old', before);
    const grown = grownApp();
    const next = [running, partyOf('features', 'new', grown), partyOf('registry', 'new', grown)];
    expect(incompatibilities(partyOf('serve', 'new', grown), next)).toEqual([]);
    expect(incompatibilities(partyOf('features', 'new', grown), [running])).toEqual([]);
    const { rank } = grown.recommendations.get('for_you') ?? {};
    const dropped = shopApp({ rank: { ...rank, item: 'itemId', score: 'candidateScore' } as never });
    expect(incompatibilities(partyOf('serve', 'new', dropped), [running])).toEqual([
      "recommendation 'for_you' is answered by releases of vector 'shown', which serve (new) does not have: keep it beside the " +
        "new one (list its ranker in the app's models, its recommender as an earlier one) until a release of the new one is in charge",
    ]);
    const other = {
      interactions: views,
      user: 'userId',
      item: 'itemId',
      trainer: ease(),
      recent: 5,
    } as const;
    const short = defineRecommender('short', other);
    expect(
      incompatibilities(partyOf('serve', 'new', shopApp({ candidates: short })), [running])[0],
    ).toContain("is answered by releases of vector 'for_you_shelf', which serve (new) does not have");
    const kept = shopApp({ candidates: short, earlier: [shelf] });
    expect(incompatibilities(partyOf('serve', 'new', kept), [running])).toEqual([]);
    // In place, a vector in use never changes.
    const changed = shopApp({ candidates: defineRecommender('shelf', other) });
    expect(incompatibilities(partyOf('features', 'new', changed), [running])[0]).toContain(
      "it would break recommendation 'for_you'",
    );
    const [unknown] = incompatibilities(partyOf('serve', 'new', before), [partyOf('registry', 'old', app())]);
    expect(unknown).toContain("has recommendation 'for_you', which registry (old) does not know");
    const gone = incompatibilities(partyOf('serve', 'new', app({})), [running]);
    expect(gone).toContain("recommendation 'for_you' of serve (old) is gone");
  });

  it('may add a vector, features first', () => {
    const more = app({ second: true });
    expect(incompatibilities(party('features', 'new', { app: more }), [OLD_SERVE])).toEqual([]);
    const [problem] = incompatibilities(party('serve', 'new', { app: more }), [OLD_FEATURES]);
    expect(problem).toBe(
      "serve (new) needs vector 'basket2', which features (old) does not have: deploy features first, or both together",
    );
    expect(
      incompatibilities(party('serve', 'new', { app: more }), [party('features', 'new', { app: more })]),
    ).toEqual([]);
    const gone = incompatibilities(party('features', 'old'), [party('serve', 'new', { app: more })]);
    expect(gone[0]).toContain('it is still needed');
  });

  it('may let a source take corrections once features know them', () => {
    const ingest = party('ingest', 'new', { app: app({ corrections: true }) });
    expect(incompatibilities(ingest, [OLD_FEATURES])).toEqual([
      "source 'orders', as features (old) reads what ingest (new) accepts: it knows no corrections, but they may come",
    ]);
    const features = party('features', 'new', { app: app({ corrections: true }) });
    expect(incompatibilities(features, [party('ingest', 'old')])).toEqual([]);
    expect(incompatibilities(ingest, [features])).toEqual([]);
  });

  it('may add an optional field to a source, features first, and nothing else', () => {
    const more = app({ fields: { note: text({ optional: true }) } });
    const ingest = party('ingest', 'new', { app: more });
    expect(incompatibilities(ingest, [OLD_FEATURES])).toEqual([
      "source 'reports', as features (old) reads what ingest (new) accepts: field 'note' is not known, but may come",
    ]);
    const newer = party('features', 'new', { app: more });
    expect(incompatibilities(newer, [party('ingest', 'old'), OLD_FEATURES])).toEqual([]);
    expect(incompatibilities(ingest, [newer, party('ingest', 'old')])).toEqual([]);
    const needed = party('ingest', 'new', { app: app({ fields: { note: text() } }) });
    expect(incompatibilities(needed, [party('ingest', 'old')])[0]).toContain("field 'note' is needed");
    const other = party('ingest', 'new', { app: app({ fields: { note: boolean({ optional: true }) } }) });
    expect(incompatibilities(other, [ingest])[0]).toContain("field 'note' takes boolean, text may come");
    const narrow = party('ingest', 'new', {
      app: app({ fields: { note: text({ optional: true, lengthMax: 9 }) } }),
    });
    expect(incompatibilities(narrow, [ingest])[0]).toContain('takes at most 9, more may come');
    const [longer, shorter] = [3, 2].map((length) =>
      party('ingest', String(length), {
        app: app({ fields: { note: embedding(length, { optional: true }) } }),
      }),
    );
    if (longer === undefined || shorter === undefined) throw new Error('two builds');
    expect(incompatibilities(longer, [shorter])[0]).toContain('has the length 3 for one and 2 for the other');
  });

  it('may not lose a decision, or be another app', () => {
    const more = party('serve', 'old', { app: app({ second: true }) });
    expect(incompatibilities(party('serve', 'new'), [more])).toEqual([
      "decision 'again' of serve (old) is gone",
    ]);
    const one = source('orders', {
      id: 'a',
      time: 'b',
      key: 'a',
      fields: { a: id(), b: timestamp(), n: integer({ optional: true }) },
    });
    const another = party('ingest', 'new', { app: defineApp('other', { decisions: {}, sources: [one] }) });
    expect(incompatibilities(another, [party('ingest', 'old')])[0]).toBe(
      "the app is 'other', but ingest (old) runs 'shop'",
    );
  });
});

describe('the schema of a build', () => {
  const added = (additive: boolean): Change => ({
    steps: [...STEPS, { number: 2, name: 'more', checksum: 'b', additive }],
  });

  it('may add steps that are additive, forth and back', () => {
    const newer = party('serve', 'new', added(true));
    expect(incompatibilities(newer, [OLD_SERVE])).toEqual([]);
    expect(incompatibilities(OLD_SERVE, [newer])).toEqual([]);
  });

  it('is refused with a step that is not, and with one that was changed', () => {
    expect(incompatibilities(party('serve', 'new', added(false)), [OLD_SERVE])).toEqual([
      'step 2 (more) of the schema of serve is not additive, and old does not know it: the two cannot run side by side',
    ]);
    const changed = { steps: [{ number: 1, name: 'tables', checksum: 'z', additive: false }] };
    expect(incompatibilities(party('serve', 'new', changed), [OLD_SERVE])[0]).toContain(
      'a step that has landed stays as it is',
    );
  });

  it.each([
    ['drop table a', 'drop table'],
    ['alter table a drop column b', 'drop column'],
    ['ALTER TABLE a\n  RENAME COLUMN b TO c', 'alter table a rename'],
    ['alter table a alter column b set not null', 'alter table a alter column b set not null'],
    ['alter table a alter column b type text', 'alter table a alter column b type'],
    ['alter table a add column b text not null', 'alter table a add column b text not null'],
    ['alter table a add constraint c check (b > 0)', 'alter table a add constraint'],
    ['delete from a', 'delete from'],
    ['create table a (b text not null); -- drop table c', undefined],
    ['alter table a add column b text not null default 0', undefined],
    ['alter table a add column if not exists b text', undefined],
    ['create index c on a (b)', undefined],
  ])('finds in %j what speaks against it', (sql, words) => {
    expect(breakingWords(sql)).toBe(words);
  });
});
