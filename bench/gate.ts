import { GuardedGate } from '../src/runtime/auth/gate.ts';
import { KeyRing } from '../src/runtime/auth/key-ring.ts';
import { makeApiKey } from '../src/runtime/auth/api-key.ts';
import { writePrincipal } from '../src/runtime/auth/forwarded.ts';
import { ServiceIdentity } from '../src/runtime/auth/service-identity.ts';
import { ServiceVerifier } from '../src/runtime/auth/service-verifier.ts';
import { systemClock } from '../src/adapters/system/index.ts';
import { createLogger, createMetrics } from '../src/runtime/index.ts';
import type { Measurement } from './run.ts';

/** Entries that are timed together. */
const ROUNDS = 400_000;
/** First sights of a credential that are timed. */
const FIRST = 1_000;

/** What asking for credentials costs a request: of one that was seen before, and of one that was not. */
export async function measure(): Promise<Measurement> {
  const clock = systemClock();
  const metrics = createMetrics();
  const logger = createLogger({ level: 'silent' });
  const options = {
    name: 'bench',
    role: 'producer',
    createdAt: 0,
    createdBy: 'bench',
    expiresAt: null,
  } as const;
  const made = Array.from({ length: FIRST }, () => makeApiKey(options));
  const keyRing = new KeyRing({
    keys: {
      add: () => Promise.resolve(),
      revoke: () => Promise.resolve(undefined),
      all: () => Promise.resolve(made.map(({ stored }) => stored)),
      revision: () => Promise.resolve(1),
    },
    signals: { notify: () => Promise.resolve(), subscribe: () => () => undefined },
    clock,
    logger,
  });
  await keyRing.start();
  const identities = await Promise.all(
    Array.from({ length: FIRST }, (_, index) =>
      ServiceIdentity.create('gateway', `g${String(index)}`, clock),
    ),
  );
  const services = new ServiceVerifier({
    audience: ['serve'],
    known: (id) => [
      { service: 'gateway', id, url: '', key: identities[Number(id.slice(1))]?.publicKey ?? '' },
    ],
    find: () => Promise.resolve([]),
    clock,
  });
  const gate = new GuardedGate({
    keyRing,
    services,
    tokens: undefined,
    throttle: { failuresMax: 10, windowMs: 60_000 },
    clock,
    logger,
    metrics: metrics.of('auth'),
  });
  const address = (): string => '127.0.0.1';
  const forwarded = {
    'x-tandem-principal': writePrincipal({ subject: 'key:0123456789abcdef', roles: ['producer'] }),
  };
  const tokens = await Promise.all(identities.map(async (identity) => identity.authorize('serve')));
  const visitors = {
    key: made.map(({ text }) => ({ headers: { authorization: `Bearer ${text}` }, address })),
    service: tokens.map((authorization) => ({ headers: { ...forwarded, authorization }, address })),
  };
  const result: Record<string, number> = {};
  for (const [name, all] of Object.entries(visitors)) {
    const begun = performance.now();
    for (const visitor of all) await gate.enter(visitor);
    result[`${name}First_us`] = ((performance.now() - begun) * 1_000) / FIRST;
    const [visitor] = all;
    if (visitor === undefined) continue;
    for (let round = 0; round < ROUNDS; round += 1) void gate.enter(visitor);
    const again = performance.now();
    for (let round = 0; round < ROUNDS; round += 1) void gate.enter(visitor);
    result[`${name}Again_us`] = ((performance.now() - again) * 1_000) / ROUNDS;
  }
  await keyRing.stop();
  metrics.close();
  return {
    metrics: result,
    goals: [
      { metric: 'keyAgain_us', goal: 10, bound: 'max' },
      { metric: 'serviceAgain_us', goal: 10, bound: 'max' },
    ],
  };
}
