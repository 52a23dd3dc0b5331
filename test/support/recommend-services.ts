import { systemClock } from '../../src/adapters/system/index.ts';
import {
  type AnyRoute,
  type InputOf,
  type LedgerEntry,
  PlatformError,
  type DecisionReplay,
  type RecommendationAnswer,
  type Release,
  type ResultOf,
  routes,
} from '../../src/contract/index.ts';
import type { App } from '../../src/define/index.ts';
import type { CallContext, RunningService } from '../../src/runtime/index.ts';
import { features } from '../../src/services/features/index.ts';
import { registry } from '../../src/services/registry/index.ts';
import { serve, type ServeOptions } from '../../src/services/serve/index.ts';
import { append, type CallAny, itemModel, rankModel, register, shopApp, views } from './recommend-shop.ts';
import { type TestWorld, testWorld } from './service-host.ts';

const clock = systemClock();
/** A busy machine takes its time. */
export const PATIENCE = { timeout: 30_000, interval: 20 };

/** The services that recommend, on a database of their own, talking JSON to each other. */
export class Shop implements AsyncDisposable {
  readonly world: TestWorld;
  app: App;
  readonly #running = new Map<string, RunningService>();
  readonly #others: RunningService[] = [];
  #serial = 0;

  private constructor(world: TestWorld, app: App) {
    this.world = world;
    this.app = app;
  }

  static async open(app: App = shopApp()): Promise<Shop> {
    const shop = new Shop(await testWorld(), app);
    await shop.start('features');
    await shop.start('registry');
    await shop.start('serve');
    return shop;
  }

  /** Starts a service, or starts it again with the shop's present app. */
  async start(name: 'features' | 'registry' | 'serve', options: Partial<ServeOptions> = {}): Promise<void> {
    await this.#running.get(name)?.stop(5_000);
    this.#running.set(name, await this.#begin(name, options));
  }

  async stop(name: 'features' | 'registry' | 'serve'): Promise<void> {
    await this.#running.get(name)?.stop(5_000);
    this.#running.delete(name);
  }

  /** One more features replica, which is given some of the state. */
  async share(): Promise<void> {
    this.#others.push(await this.#begin('features', {}));
    const until = clock.monotonic() + PATIENCE.timeout;
    for (;;) {
      const { replicas } = await this.call(routes.getFeaturesStatus, {});
      if (replicas.length > 1 && replicas.every(({ partitions }) => partitions > 0)) return;
      if (clock.monotonic() > until) throw new Error('One of the replicas owns no state');
      await clock.sleep(PATIENCE.interval);
    }
  }

  #begin(name: 'features' | 'registry' | 'serve', options: Partial<ServeOptions>): Promise<RunningService> {
    if (name === 'features')
      return this.world.start(features, this.app, { archiveMs: 600_000 }, this.call as never);
    if (name === 'registry') return this.world.start(registry, this.app, {}, this.call as never);
    return this.world.start(serve, this.app, { pollMs: 20, readyMs: 10_000, ...options }, this.call as never);
  }

  readonly call: CallAny = async <TRoute extends AnyRoute>(
    route: TRoute,
    input: Partial<InputOf<TRoute>>,
    options: { readonly timeoutMs?: number } = {},
  ): Promise<ResultOf<TRoute>> => {
    const service = this.#running.get(route.service);
    const entry = service?.handlers.find((item) => item.route.name === route.name);
    if (entry === undefined) throw new PlatformError('UNAVAILABLE', `${route.name} is not served`);
    const { params = {}, query = {}, body = {} } = JSON.parse(JSON.stringify(input)) as InputOf<TRoute>;
    const timeoutMs = options.timeoutMs ?? 20_000;
    const context: CallContext = {
      requestId: 'test',
      principal: { subject: 'test', roles: ['admin'] },
      deadlineMs: clock.monotonic() + timeoutMs,
      signal: AbortSignal.timeout(timeoutMs),
    };
    const parsed = {
      params: route.params.parse(params),
      query: route.query.parse(query),
      body: route.body.parse(body),
    };
    const result = JSON.parse(JSON.stringify(await entry.handle(parsed as never, context))) as unknown;
    return route.result.parse(result) as ResultOf<TRoute>;
  };

  async register(model: string, bytes: Uint8Array): Promise<number> {
    this.#serial += 1;
    const { app } = this;
    return (await register(this.world, this.call, { app, model, bytes, key: `v${String(this.#serial)}` }))
      .version;
  }

  async release(body: Partial<InputOf<typeof routes.createRelease>['body']>): Promise<Release> {
    return this.call(routes.createRelease, { body: { decision: 'for_you', ...body } });
  }

  /** Registers both models and puts them in charge. */
  async begin(seed = 1): Promise<Release> {
    const version = await this.register('shelf', itemModel(seed));
    const ranker = await this.register('ranker', rankModel(4, seed));
    const release = await this.release({ version, ranker });
    await this.until(release);
    return release;
  }

  /** Asks until the release answers. */
  async until(release: Release): Promise<void> {
    const until = clock.monotonic() + PATIENCE.timeout;
    for (;;) {
      const answer = await this.recommend('nobody').then((found) => found.release, String);
      if (answer === release.id) return;
      if (clock.monotonic() > until) throw new Error(`${release.id} does not answer, but ${answer}`);
      await clock.sleep(PATIENCE.interval);
    }
  }

  recommend(
    user: string,
    wishes: Partial<InputOf<typeof routes.recommend>['body']> = {},
    timeoutMs = 20_000,
  ): Promise<RecommendationAnswer> {
    this.#serial += 1;
    const request = { requestId: `q${String(this.#serial)}`, at: Date.now(), userId: user };
    const body = { request, seen: 'remove' as const, ...wishes };
    return this.call(routes.recommend, { params: { recommendation: 'for_you' }, body }, { timeoutMs });
  }

  /** The user looks at the items, a moment ago, in this order. */
  async view(user: string, items: readonly string[]): Promise<void> {
    const from = Date.now() - 1_000;
    const records = items.map((itemId, index) => {
      this.#serial += 1;
      return { viewId: `v${String(this.#serial)}`, at: from + index, userId: user, itemId };
    });
    await append(this.world, views, records);
  }

  replay({ recommendationId: decisionId }: RecommendationAnswer): Promise<DecisionReplay> {
    return this.call(routes.replayDecision, { params: { decisionId } });
  }

  entry({ recommendationId: decisionId }: RecommendationAnswer): Promise<LedgerEntry> {
    return this.call(routes.getLedgerEntry, { params: { decisionId } });
  }

  ready(): ReturnType<RunningService['ready']> {
    const service = this.#running.get('serve');
    if (service === undefined) throw new Error('serve does not run');
    return service.ready();
  }

  async metric(line: string): Promise<number> {
    const text = await this.world.metrics.text();
    const found = text.split('\n').find((item) => item.startsWith(`${line} `));
    return Number(found?.slice(line.length + 1) ?? Number.NaN);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of ['serve', 'registry', 'features'] as const) await this.stop(name);
    for (const service of this.#others) await service.stop(5_000);
    await this.world[Symbol.asyncDispose]();
  }
}
