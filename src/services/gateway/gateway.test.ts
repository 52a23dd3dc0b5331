import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callRoute, type TestWorld, testWorld } from '../../../test/support/service-host.ts';
import { type Principal, type Role, routes } from '../../contract/index.ts';
import { defineApp } from '../../define/index.ts';
import { hashSecret, readApiKey, type RunningService } from '../../runtime/index.ts';
import { gateway } from './index.ts';
import { gatewayOptions } from './options.ts';
import { rateLimit } from './rate-limit.ts';

const app = defineApp('empty', { decisions: {} });

describe('keys', () => {
  let world: TestWorld;
  let service: RunningService;
  beforeAll(async () => {
    world = await testWorld();
    service = await world.start(gateway, app);
  });
  afterAll(() => world[Symbol.asyncDispose]());

  it('are made, kept as hashes, listed without secrets and revoked once', async () => {
    const made = await callRoute(service, routes.createKey, {
      body: { name: 'shop', role: 'producer', expiresInMs: 60_000 },
    });
    const parts = readApiKey(made.key);
    expect(parts?.id).toBe(made.id);
    expect(made).toMatchObject({ name: 'shop', role: 'producer', createdBy: 'test', revokedAt: null });
    expect(made.expiresAt).toBe(made.createdAt + 60_000);
    const [stored] = await world.postgres.keys.all();
    expect(stored?.hash).toBe(hashSecret(parts?.secret ?? ''));
    expect(JSON.stringify(stored)).not.toContain(parts?.secret);
    const { keys } = await callRoute(service, routes.listKeys, {});
    expect(keys.map(({ id }) => id)).toEqual([made.id]);
    expect(JSON.stringify(keys)).not.toMatch(/hash|secret|tk_/);
    const revoked = await callRoute(service, routes.revokeKey, { params: { id: made.id } });
    const again = await callRoute(service, routes.revokeKey, { params: { id: made.id } });
    expect(revoked.revokedAt).not.toBeNull();
    expect(again).toEqual(revoked);
    await expect(callRoute(service, routes.revokeKey, { params: { id: 'nobody' } })).rejects.toMatchObject({
      code: 'KEY_NOT_FOUND',
    });
  });

  it('has the routes of every other service, and says which are not there', async () => {
    const forwarded = (service.forwards ?? []).map(({ name }) => name);
    const own = service.handlers.map(({ route }) => route.name);
    expect([...forwarded, ...own].sort()).toEqual(Object.keys(routes).sort());
    expect(await service.ready()).toEqual({
      ready: true,
      reason: 'there is no instance of ingest, features, train, registry, serve',
    });
  });
});

describe('the limit on requests', () => {
  const principal = (subject: string, ...roles: Role[]): Principal => ({ subject, roles });

  it('is by who calls and by the best of his roles, and says when to come back', () => {
    let nowMs = 0;
    const clock = { now: () => nowMs, monotonic: () => nowMs, sleep: () => Promise.resolve() };
    const options = gatewayOptions.parse({
      readerRequestsPerSecond: 2,
      operatorRequestsPerSecond: 4,
      burstSeconds: 1,
    });
    const ask = rateLimit(options, clock);
    const reader = principal('a', 'reader');
    expect(ask(reader).headers).toEqual({
      'ratelimit-limit': '2',
      'ratelimit-remaining': '1',
      'ratelimit-reset': '1',
    });
    expect(ask(reader).refusal).toBeUndefined();
    const { refusal, headers } = ask(reader);
    expect(refusal).toMatchObject({ code: 'TOO_MANY_REQUESTS', details: { retryAfterMs: 500 } });
    expect(headers['ratelimit-remaining']).toBe('0');
    // Somebody else has a bucket of his own, and the better role counts.
    const both = principal('b', 'reader', 'operator');
    const allowed = Array.from({ length: 6 }, () => ask(both)).filter(
      (answer) => answer.refusal === undefined,
    );
    expect(allowed).toHaveLength(4);
    nowMs += 500;
    expect(ask(reader).refusal).toBeUndefined();
    expect(ask(reader).refusal).toBeDefined();
    nowMs += 60_000;
    expect(ask(reader).headers['ratelimit-remaining']).toBe('1');
  });

  it('lets slow rates through one by one', () => {
    let nowMs = 0;
    const clock = { now: () => nowMs, monotonic: () => nowMs, sleep: () => Promise.resolve() };
    const ask = rateLimit(gatewayOptions.parse({ readerRequestsPerSecond: 0.1 }), clock);
    const reader = principal('a', 'reader');
    expect(ask(reader).refusal).toBeUndefined();
    expect(ask(reader).refusal).toMatchObject({ details: { retryAfterMs: 10_000 } });
    nowMs += 10_000;
    expect(ask(reader).refusal).toBeUndefined();
  });

  it('keeps a bounded number of buckets', () => {
    const clock = { now: () => 0, monotonic: () => 0, sleep: () => Promise.resolve() };
    const ask = rateLimit(gatewayOptions.parse({ readerRequestsPerSecond: 1, burstSeconds: 1 }), clock);
    const first = principal('first', 'reader');
    ask(first);
    expect(ask(first).refusal).toBeDefined();
    for (let index = 0; index < 10_000; index += 1) ask(principal(`other-${String(index)}`, 'reader'));
    expect(ask(first).refusal).toBeUndefined();
  });
});
