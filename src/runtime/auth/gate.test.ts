import { createHmac, generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, exportSPKI, generateKeyPair, type JSONWebKeySet, SignJWT } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Principal, ServiceName } from '../../contract/index.ts';
import { testClock } from '../http/test-service.ts';
import { createLogger } from '../logger.ts';
import { createMetrics } from '../metrics.ts';
import type { Instance, StoredKey } from '../ports/index.ts';
import { makeApiKey } from './api-key.ts';
import { writePrincipal } from './forwarded.ts';
import { GuardedGate } from './gate.ts';
import { type JwtOptions, JwtVerifier } from './jwt-verifier.ts';
import { KeyRing } from './key-ring.ts';
import { ServiceIdentity } from './service-identity.ts';
import { ServiceVerifier } from './service-verifier.ts';

const ISSUER = 'https://issuer.example';
const AUDIENCE = 'tandem-test';

/** A gate with a store, a list of instances and a clock that tests change. */
class World {
  readonly keys: StoredKey[] = [];
  readonly instances: Instance[] = [];
  /** Instances that only the store knows. */
  readonly stored: Instance[] = [];
  readonly lines: string[] = [];
  readonly metrics = createMetrics();
  address = '10.0.0.1';
  skewMs = 0;
  lookups = 0;
  isStoreAway = false;
  #revision = 0;
  #wake: () => void = () => undefined;
  readonly clock = {
    ...testClock,
    now: () => Date.now() + this.skewMs,
    monotonic: () => performance.now() + this.skewMs,
  };
  readonly ring: KeyRing;
  readonly gate: GuardedGate;

  constructor(jwt?: Partial<JwtOptions>, failuresMax = 10) {
    const logger = createLogger({ write: (line) => void this.lines.push(line) });
    const store = {
      add: () => Promise.reject(new Error('not here')),
      revoke: () => Promise.reject(new Error('not here')),
      all: () => this.#asked([...this.keys]),
      revision: () => this.#asked(this.#revision),
    };
    this.ring = new KeyRing({
      keys: store,
      signals: {
        notify: () => Promise.resolve(),
        subscribe: (_channel, wake) => {
          this.#wake = wake;
          return () => undefined;
        },
      },
      clock: this.clock,
      logger,
    });
    this.gate = new GuardedGate({
      keyRing: this.ring,
      services: new ServiceVerifier({
        audience: ['serve'],
        known: (id) => this.instances.filter((instance) => instance.id === id),
        find: (id) => {
          this.lookups += 1;
          return this.#asked(this.stored.filter((instance) => instance.id === id));
        },
        clock: this.clock,
      }),
      tokens:
        jwt === undefined
          ? undefined
          : new JwtVerifier(
              {
                issuer: ISSUER,
                audience: AUDIENCE,
                keys: { keys: [] },
                rolesClaim: 'roles',
                roles: {},
                ...jwt,
              },
              this.clock,
            ),
      throttle: { failuresMax, windowMs: 60_000 },
      clock: this.clock,
      logger,
      metrics: this.metrics.of('auth'),
    });
  }

  #asked<TValue>(value: TValue): Promise<TValue> {
    return this.isStoreAway ? Promise.reject(new Error('the store is away')) : Promise.resolve(value);
  }

  addKey(role: StoredKey['role'], rest: Partial<StoredKey> = {}): string {
    const { text, stored } = makeApiKey({
      name: 'test',
      role,
      createdAt: 0,
      createdBy: 'test',
      expiresAt: null,
    });
    this.keys.push({ ...stored, ...rest });
    this.#revision += 1;
    return text;
  }

  changeKey(index: number, changes: Partial<StoredKey>): void {
    const key = this.keys[index];
    if (key !== undefined) this.keys[index] = { ...key, ...changes };
    this.#revision += 1;
    this.#wake();
  }

  async enter(credentials: string | undefined, headers: Record<string, string> = {}): Promise<Principal> {
    const authorization = credentials === undefined ? {} : { authorization: credentials };
    return this.gate.enter({ headers: { ...headers, ...authorization }, address: () => this.address });
  }

  /** The reason of the refusal, or the principal's subject. */
  async verdict(credentials: string | undefined, headers: Record<string, string> = {}): Promise<string> {
    try {
      return (await this.enter(credentials, headers)).subject;
    } catch (error) {
      const { code, details } = error as { code?: string; details?: { reason?: string } };
      return `${code ?? 'no code'} ${details?.reason ?? ''}`.trim();
    }
  }
}

describe('API keys', () => {
  it('let in who holds one, with its role', async () => {
    const world = new World();
    const text = world.addKey('scientist');
    await world.ring.start();
    expect(await world.enter(`Bearer ${text}`)).toEqual({
      subject: `key:${world.keys[0]?.id ?? ''}`,
      roles: ['scientist'],
    });
    expect(await world.verdict(`bearer ${text}`)).toMatch(/^key:/);
    await world.ring.stop();
  });

  it('are refused when anything of them is wrong', async () => {
    const world = new World({}, 1_000);
    const text = world.addKey('admin');
    world.addKey('admin', { hash: '' });
    const expired = world.addKey('admin', { expiresAt: 1 });
    const revoked = world.addKey('admin', { revokedAt: 1 });
    await world.ring.start();
    const [prefix, id = '', secret = ''] = text.split('_', 3);
    const other = makeApiKey({
      name: 'x',
      role: 'admin',
      createdAt: 0,
      createdBy: 'x',
      expiresAt: null,
    }).text;
    const hashOf = world.keys[0]?.hash ?? '';
    for (const [credentials, verdict] of [
      [undefined, 'missing'],
      ['', 'malformed'],
      [text, 'malformed'],
      [`Basic ${text}`, 'malformed'],
      [`Bearer ${text} x`, 'malformed'],
      [`Bearer ${text},Bearer ${text}`, 'malformed'],
      [`Bearer ${text}A`, 'malformed'],
      [`Bearer ${text.slice(0, -1)}`, 'malformed'],
      [`Bearer ${'a'.repeat(9_000)}`, 'malformed'],
      [`Bearer ${other}`, 'unknown'],
      [`Bearer ${prefix}_${id}_${other.slice(-43)}`, 'unknown'],
      [
        `Bearer ${prefix}_${'0'.repeat(16)}_${secret}`,
        text.split('_').length === 3 ? 'unknown' : 'malformed',
      ],
      [`Bearer ${prefix}_${id}_${hashOf.slice(0, 43)}`, 'unknown'],
      [`Bearer ${prefix}_${world.keys[1]?.id ?? ''}_${'A'.repeat(43)}`, 'unknown'],
      [`Bearer ${expired}`, 'expired'],
      [`Bearer ${revoked}`, 'revoked'],
    ] as const) {
      expect(await world.verdict(credentials), String(credentials)).toBe(`UNAUTHENTICATED ${verdict}`);
    }
    await world.ring.stop();
  });

  it('end when they are revoked or run out, also those that were seen before', async () => {
    const world = new World();
    const text = world.addKey('reader');
    const short = world.addKey('reader', { expiresAt: Date.now() + 60_000 });
    await world.ring.start();
    expect(await world.verdict(`Bearer ${text}`)).toMatch(/^key:/);
    expect(await world.verdict(`Bearer ${short}`)).toMatch(/^key:/);
    world.changeKey(0, { revokedAt: 5 });
    await expect.poll(() => world.verdict(`Bearer ${text}`)).toBe('UNAUTHENTICATED revoked');
    world.skewMs = 61_000;
    expect(await world.verdict(`Bearer ${short}`)).not.toMatch(/^key:/);
    await world.ring.stop();
  });

  it('go on as last known while the store is away', async () => {
    const world = new World();
    const text = world.addKey('reader');
    await world.ring.start();
    world.isStoreAway = true;
    world.changeKey(0, { revokedAt: 5 });
    await expect.poll(() => world.lines.join('')).toContain('The API keys cannot be read');
    expect(await world.verdict(`Bearer ${text}`)).toMatch(/^key:/);
    world.isStoreAway = false;
    await expect
      .poll(() => world.verdict(`Bearer ${text}`), { timeout: 5_000 })
      .toBe('UNAUTHENTICATED revoked');
    await world.ring.stop();
  });
});

describe('wrong credentials', () => {
  it('are throttled by address, counted, and logged without what was shown', async () => {
    const world = new World(undefined, 3);
    const good = world.addKey('reader');
    const seen = world.addKey('reader');
    await world.ring.start();
    await world.enter(`Bearer ${seen}`);
    const wrong = makeApiKey({
      name: 'x',
      role: 'admin',
      createdAt: 0,
      createdBy: 'x',
      expiresAt: null,
    }).text;
    for (let count = 0; count < 3; count += 1) {
      expect(await world.verdict(`Bearer ${wrong}`)).toBe('UNAUTHENTICATED unknown');
    }
    expect(await world.verdict(undefined)).toBe('UNAUTHENTICATED missing');
    expect(await world.verdict(`Bearer ${good}`)).toBe('TOO_MANY_REQUESTS');
    await expect(world.enter(`Bearer ${good}`)).rejects.toMatchObject({
      details: { retryAfterMs: expect.any(Number) as number },
    });
    // Whoever was let in before is not kept out by a guesser at the same address.
    expect(await world.verdict(`Bearer ${seen}`)).toMatch(/^key:/);
    world.address = '10.0.0.2';
    expect(await world.verdict(`Bearer ${good}`)).toMatch(/^key:/);
    world.address = '10.0.0.1';
    world.skewMs = 61_000;
    expect(await world.verdict(`Bearer ${world.addKey('reader')}`)).toBe('UNAUTHENTICATED unknown');
    const written = world.lines.join('\n') + (await world.metrics.text());
    expect(written).toContain('"reason":"unknown","address":"10.0.0.1"');
    expect(written).toMatch(/auth_failures_total\{reason="unknown"\} 4/);
    expect(written).toMatch(/auth_failures_total\{reason="throttled"\} 2/);
    for (const text of [wrong, good, seen]) expect(written).not.toContain(text.slice(-43));
    await world.ring.stop();
  });
});

describe('tokens of an issuer', () => {
  type Pair = Awaited<ReturnType<typeof generateKeyPair>>;
  let rsa: Pair;
  let ec: Pair;
  let stranger: Pair;
  let keys: JSONWebKeySet;
  let rsaPem = '';
  beforeAll(async () => {
    rsa = await generateKeyPair('RS256', { extractable: true });
    ec = await generateKeyPair('ES256');
    stranger = await generateKeyPair('RS256');
    rsaPem = await exportSPKI(rsa.publicKey);
    keys = {
      keys: [
        { ...(await exportJWK(rsa.publicKey)), kid: 'rsa', alg: 'RS256', use: 'sig' },
        { ...(await exportJWK(ec.publicKey)), kid: 'ec', alg: 'ES256', use: 'sig' },
      ],
    };
  });

  const now = (): number => Math.floor(Date.now() / 1_000);
  const claims = (changes: Record<string, unknown> = {}): Record<string, unknown> => ({
    iss: ISSUER,
    aud: AUDIENCE,
    sub: 'ada',
    exp: now() + 300,
    roles: ['operator', 'reader', 'emperor'],
    ...changes,
  });
  const sign = (
    payload: Record<string, unknown>,
    header: { alg: string; kid?: string },
    key: Pair['privateKey'],
  ) => new SignJWT(payload).setProtectedHeader(header).sign(key);
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

  it('let in whom the issuer vouches for, with the roles that there are', async () => {
    const world = new World({ keys });
    const token = await sign(claims(), { alg: 'RS256', kid: 'rsa' }, rsa.privateKey);
    expect(await world.enter(`Bearer ${token}`)).toEqual({
      subject: 'jwt:ada',
      roles: ['operator', 'reader'],
    });
    const other = await sign(
      claims({ roles: 'reader producer' }),
      { alg: 'ES256', kid: 'ec' },
      ec.privateKey,
    );
    expect((await world.enter(`Bearer ${other}`)).roles).toEqual(['reader', 'producer']);
    world.skewMs = 400_000;
    expect(await world.verdict(`Bearer ${token}`)).toBe('UNAUTHENTICATED expired');
  });

  it('map groups to roles', async () => {
    const world = new World({ keys, rolesClaim: 'realm.groups', roles: { 'team-risk': 'scientist' } });
    const with_ = (groups: unknown): Promise<string> =>
      sign(claims({ realm: { groups } }), { alg: 'RS256', kid: 'rsa' }, rsa.privateKey);
    expect((await world.enter(`Bearer ${await with_(['team-risk', 'admin'])}`)).roles).toEqual(['scientist']);
    for (const groups of [['admin'], ['constructor'], ['__proto__'], [], 7, null, undefined]) {
      expect(await world.verdict(`Bearer ${await with_(groups)}`)).toBe('UNAUTHENTICATED role');
    }
  });

  it('are refused however they are forged', async () => {
    const world = new World({ keys }, 1_000);
    const good = { alg: 'RS256', kid: 'rsa' };
    const hmac = (header: object, secret: string): string => {
      const text = `${part(header)}.${part(claims())}`;
      return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
    };
    const signed = await sign(claims(), good, rsa.privateKey);
    const [header = '', , signature = ''] = signed.split('.');
    const embedded = await exportJWK(stranger.publicKey);
    const attacks: Record<string, string> = {
      'alg none': `${part({ alg: 'none' })}.${part(claims())}.`,
      'alg None with a signature': `${part({ alg: 'None', kid: 'rsa' })}.${part(claims())}.${signature}`,
      'HS256 with the public key as secret': hmac({ alg: 'HS256', kid: 'rsa' }, rsaPem),
      'HS256 with the modulus as secret': hmac({ alg: 'HS256', kid: 'rsa' }, String(keys.keys[0]?.n)),
      'HS256 with an empty secret': hmac({ alg: 'HS256' }, ''),
      'kid of another key': await sign(claims(), { alg: 'RS256', kid: 'ec' }, rsa.privateKey),
      'kid of nobody': await sign(claims(), { alg: 'RS256', kid: 'x' }, rsa.privateKey),
      'kid of a file': await sign(claims(), { alg: 'RS256', kid: '../../../dev/null' }, rsa.privateKey),
      'a stranger by the right kid': await sign(claims(), good, stranger.privateKey),
      'a key in the header': await new SignJWT(claims())
        .setProtectedHeader({ alg: 'RS256', kid: 'rsa', jwk: embedded as never })
        .sign(stranger.privateKey),
      'a key set by address': await new SignJWT(claims())
        .setProtectedHeader({ alg: 'RS256', kid: 'x', jku: 'https://evil.example/keys' })
        .sign(stranger.privateKey),
      'an unknown critical header': await new SignJWT(claims())
        .setProtectedHeader({ ...good, crit: ['exp'], exp: 1 } as never)
        .sign(rsa.privateKey, { crit: { exp: true } })
        .catch(() => `${part({ ...good, crit: ['x'], x: 1 })}.${part(claims())}.${signature}`),
      'another payload under a signature': `${header}.${part(claims({ roles: ['admin'] }))}.${signature}`,
      'no signature': `${header}.${part(claims())}.`,
      expired: await sign(claims({ exp: now() - 31 }), good, rsa.privateKey),
      'not yet': await sign(claims({ nbf: now() + 100 }), good, rsa.privateKey),
      'without an end': await sign(claims({ exp: undefined }), good, rsa.privateKey),
      'an end that is no number': await sign(claims({ exp: 'never' }), good, rsa.privateKey),
      'for another audience': await sign(claims({ aud: 'other' }), good, rsa.privateKey),
      'for nobody': await sign(claims({ aud: undefined }), good, rsa.privateKey),
      'of another issuer': await sign(claims({ iss: 'https://evil.example' }), good, rsa.privateKey),
      'of no issuer': await sign(claims({ iss: undefined }), good, rsa.privateKey),
      'as if of a service': await sign(
        claims({ iss: 'tandem', aud: 'serve', iat: now() }),
        good,
        rsa.privateKey,
      ),
      'without a subject': await sign(claims({ sub: undefined }), good, rsa.privateKey),
      'without a role': await sign(claims({ roles: ['service'] }), good, rsa.privateKey),
      'five parts': `${signed}.x.y`,
      'no token': 'abc.def',
    };
    for (const [name, token] of Object.entries(attacks)) {
      expect(await world.verdict(`Bearer ${token}`), name).toMatch(/^UNAUTHENTICATED/);
    }
    expect(await world.verdict(`Bearer ${signed}`)).toBe('jwt:ada');
  });

  it('count for nothing where no issuer is configured', async () => {
    const token = await sign(claims(), { alg: 'RS256', kid: 'rsa' }, rsa.privateKey);
    expect(await new World().verdict(`Bearer ${token}`)).toBe('UNAUTHENTICATED unknown');
  });

  it('go on with the keys that the issuer said last, and say so when it never said any', async () => {
    let isAway = true;
    const issuer = createServer((_request, response) => {
      if (isAway) response.writeHead(500).end();
      else response.setHeader('content-type', 'application/json').end(JSON.stringify(keys));
    });
    await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', resolve));
    const { port } = issuer.address() as AddressInfo;
    const world = new World({ keys: new URL(`http://127.0.0.1:${String(port)}/keys`) });
    const token = await sign(claims(), { alg: 'RS256', kid: 'rsa' }, rsa.privateKey);
    expect(await world.verdict(`Bearer ${token}`)).toBe('UNAVAILABLE');
    isAway = false;
    expect(await world.verdict(`Bearer ${token}`)).toBe('jwt:ada');
    await new Promise((resolve) => issuer.close(resolve));
    issuer.closeAllConnections();
    const another = await sign(claims({ sub: 'bob' }), { alg: 'RS256', kid: 'rsa' }, rsa.privateKey);
    expect(await world.verdict(`Bearer ${another}`)).toBe('jwt:bob');
  });
});

describe('tokens of services', () => {
  const announced = (service: ServiceName, id: string, key: string): Instance => ({
    service,
    id,
    url: '',
    key,
  });

  it('let in services whose process is known, and the gateway for whom it asks', async () => {
    const world = new World();
    const train = await ServiceIdentity.create('train', 't1', world.clock);
    const gateway = await ServiceIdentity.create('gateway', 'g1', world.clock);
    world.instances.push(
      announced('train', 't1', train.publicKey),
      announced('gateway', 'g1', gateway.publicKey),
    );
    const token = await train.authorize('serve');
    const asked = {
      'x-tandem-principal': writePrincipal({ subject: 'jwt:ä b', roles: ['reader', 'operator'] }),
    };
    expect(await world.enter(token)).toEqual({ subject: 'spiffe://tandem/train/t1', roles: ['service'] });
    // Only a gateway is believed for whom it asks.
    expect(await world.enter(token, asked)).toEqual({
      subject: 'spiffe://tandem/train/t1',
      roles: ['service'],
    });
    const front = await gateway.authorize('serve');
    expect(await world.enter(front, asked)).toEqual({ subject: 'jwt:ä b', roles: ['reader', 'operator'] });
    for (const header of ['', 'admin', 'service x', 'admin,service x', 'admin x y', 'admin %zz']) {
      expect(await world.verdict(front, { 'x-tandem-principal': header })).toBe('UNAUTHENTICATED forwarded');
    }
    expect(await world.verdict(front)).toBe('UNAUTHENTICATED forwarded');
  });

  it('are refused for another service, of strangers, of those who take another name, and when they are old', async () => {
    const world = new World();
    const train = await ServiceIdentity.create('train', 't1', world.clock);
    const posing = await ServiceIdentity.create('gateway', 't1', world.clock);
    const stranger = await ServiceIdentity.create('train', 't1', world.clock);
    const unknown = await ServiceIdentity.create('train', 't2', world.clock);
    world.instances.push(announced('train', 't1', train.publicKey));
    expect(await world.verdict(await train.authorize('registry'))).toBe('UNAUTHENTICATED claims');
    expect(await world.verdict(await stranger.authorize('serve'))).toBe('UNAUTHENTICATED signature');
    expect(await world.verdict(await unknown.authorize('serve'))).toBe('UNAUTHENTICATED unknown');
    // Its own key, but a name that its process did not announce.
    world.instances.push(announced('train', 't3', posing.publicKey));
    const token = await posing.authorize('serve');
    world.instances[0] = announced('train', 't1', posing.publicKey);
    expect(await world.verdict(token, { 'x-tandem-principal': 'admin x' })).toBe('UNAUTHENTICATED claims');
    world.instances[0] = announced('train', 't1', train.publicKey);
    const old = await train.authorize('serve');
    expect(await world.verdict(old)).toMatch(/^spiffe:/);
    world.skewMs = 151_000;
    expect(await world.verdict(old)).toMatch(/^UNAUTHENTICATED/);
    expect(await world.verdict(await train.authorize('serve'))).toMatch(/^spiffe:/);
  });

  it('are renewed in time, and one serves many calls', async () => {
    const world = new World();
    const train = await ServiceIdentity.create('train', 't1', world.clock);
    const first = await train.authorize('serve');
    expect(train.authorize('serve')).toBe(first);
    expect(await train.authorize('registry')).not.toBe(first);
    world.skewMs = 65_000;
    // The one that is valid still serves while the next one is made.
    expect(train.authorize('serve')).toBe(first);
    await expect.poll(() => train.authorize('serve')).not.toBe(first);
  });

  it('ask the store about processes that the list does not have yet, or no more, but not without end', async () => {
    const world = new World();
    const young = await ServiceIdentity.create('train', 'young', world.clock);
    world.stored.push(announced('train', 'young', young.publicKey));
    const token = await young.authorize('serve');
    world.isStoreAway = true;
    expect(await world.verdict(token)).not.toMatch(/^UNAUTHENTICATED|^spiffe/);
    world.isStoreAway = false;
    expect(await world.verdict(token)).toMatch(/^spiffe:/);
    // From now on nobody is asked again, whatever becomes of the store.
    world.isStoreAway = true;
    world.skewMs = 90_000;
    expect(await world.verdict(await young.authorize('serve'))).toMatch(/^spiffe:/);
    world.isStoreAway = false;
    world.lookups = 0;
    const strangers = await Promise.all(
      Array.from({ length: 60 }, (_, index) =>
        ServiceIdentity.create('train', `s${String(index)}`, world.clock),
      ),
    );
    for (const stranger of strangers) await world.verdict(await stranger.authorize('serve'));
    expect(world.lookups).toBeLessThan(50);
    expect(world.lookups).toBeGreaterThan(0);
  });

  it('do not take HMACs, nor keys of another kind', async () => {
    const world = new World();
    const train = await ServiceIdentity.create('train', 't1', world.clock);
    world.instances.push(announced('train', 't1', train.publicKey));
    const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const seconds = Math.floor(Date.now() / 1_000);
    const payload = {
      iss: 'tandem',
      sub: 'spiffe://tandem/train/t1',
      aud: 'serve',
      iat: seconds,
      exp: seconds + 100,
    };
    const text = `${part({ alg: 'HS256', kid: 't1' })}.${part(payload)}`;
    const mac = createHmac('sha256', Buffer.from(train.publicKey, 'base64url'))
      .update(text)
      .digest('base64url');
    expect(await world.verdict(`Bearer ${text}.${mac}`)).toBe('UNAUTHENTICATED signature');
    expect(await world.verdict(`Bearer ${part({ alg: 'none', kid: 't1' })}.${part(payload)}.`)).toMatch(
      /^UNAUTHENTICATED/,
    );
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const signed = await new SignJWT(payload)
      .setProtectedHeader({ alg: 'ES256', kid: 't1' })
      .sign(privateKey);
    expect(await world.verdict(`Bearer ${signed}`)).toBe('UNAUTHENTICATED signature');
  });
});
