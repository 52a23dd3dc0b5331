import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adminKeyFile } from '../../src/cli/admin-key.ts';
import { readState } from '../../src/cli/supervisor/state-file.ts';
import { mayCall, type Role, ROLES, routes, SERVICE_NAMES } from '../../src/contract/index.ts';
import { OPERATIONAL_ROUTES } from '../../src/runtime/http/openapi.ts';
import { bearer } from '../support/access.ts';
import { hasOpenssl, makeCertificates } from '../support/certificates.ts';
import { fetchJson } from '../support/product.ts';
import { type RunningUp, startUp, tandem } from '../support/up.ts';

/** What answers without credentials, on every port; everything else is 401. */
const PUBLIC = ['GET /livez', 'HEAD /livez', 'GET /readyz', 'HEAD /readyz'];
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'QUERY'];
/** Paths that no router has, among them forms that fool path checks. */
const STRANGE = [
  '/',
  '/v1',
  '/v1/nothing',
  '/v1/models/',
  '//v1/models',
  '/V1/models',
  '/v1/models/..%2f..%2flivez',
  '/livez/../v1/models',
  '/livez/',
  '/livez%2f..%2fv1%2fmodels',
  '/livez;/v1/models',
  '/%zz',
  '/v2/health/live',
];

const ISSUER = 'https://issuer.example';

interface Asked {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** As it is said, with any method, path and header: fetch would put them right. */
function ask(
  origin: string,
  line: string,
  headers: Readonly<Record<string, string>> = {},
  body = '',
): Promise<Asked> {
  const [method = 'GET', path = '/'] = line.split(' ', 2);
  const { hostname, port } = new URL(origin);
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ hostname, port, method, path, headers, agent: false }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text }),
      );
    });
    sent.on('error', reject).end(body);
  });
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly operationId: string }>>>>;
}

/** Who may call, by the name of the route: of the contract, or of the server itself. */
const casteOf = new Map<string, readonly string[] | undefined>([
  ...Object.values(routes).map(({ name, roles }) => [name, roles] as const),
  ...OPERATIONAL_ROUTES.map(({ name, roles }) => [name, roles] as const),
]);

describe('who may do what', () => {
  let up: RunningUp;
  let folder: string;
  let admin: { readonly authorization: string };
  let ports: { readonly name: string; readonly origin: string }[];
  let issuer: Awaited<ReturnType<typeof generateKeyPair>>;
  const keys = {} as Record<Role, string>;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tandem-issuer-'));
    issuer = await generateKeyPair('ES256');
    const jwk = { ...(await exportJWK(issuer.publicKey)), kid: 'one', alg: 'ES256' };
    await writeFile(join(folder, 'keys.json'), JSON.stringify({ keys: [jwk] }));
    up = await startUp({
      // One that waits for work would have no port.
      parameters: ['--replicas', 'train=1'],
      environment: {
        TANDEM_AUTH_JWT_ISSUER: ISSUER,
        TANDEM_AUTH_JWT_AUDIENCE: 'tandem',
        TANDEM_AUTH_JWT_KEYS_FILE: join(folder, 'keys.json'),
        SOME_SECRET: 'canary-environment',
      },
    });
    admin = bearer((await readFile(adminKeyFile(up.dataDir), 'utf8')).trim());
    ports = up.processes.map(({ service, url }) => ({
      name: service,
      origin: (url ?? '').replace(/\/$/, ''),
    }));
    for (const role of ROLES) {
      const made = await fetchJson<{ key: string }>(`${up.url}/v1/keys`, {
        method: 'POST',
        headers: { ...admin, 'content-type': 'application/json' },
        body: JSON.stringify({ name: `test ${role}`, role }),
      });
      keys[role] = made.key;
    }
  }, 240_000);
  afterAll(async () => {
    await up?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  /** Every route of a port, from its router: name, and the line that calls it with made-up parameters. */
  const routesAt = async (origin: string): Promise<{ readonly name: string; readonly line: string }[]> => {
    const { paths } = await fetchJson<Document>(`${origin}/openapi.json`, { headers: admin });
    return Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { operationId }]) => ({
        name: operationId,
        line: `${method.toUpperCase()} ${path.replaceAll(/\{\w+\}/g, 'nowhere')}`,
      })),
    );
  };

  it('starts every service, and the gateway has the routes of all of them', async () => {
    expect(ports.map(({ name }) => name).sort()).toEqual([...SERVICE_NAMES].sort());
    const names = (await routesAt(up.url)).map(({ name }) => name);
    expect(names.sort()).toEqual([...casteOf.keys()].sort());
  });

  it('every route x method x port is 401 without credentials, but for a short list', async () => {
    const open = new Set<string>();
    const wrong: string[] = [];
    let asked = 0;
    for (const { name, origin } of ports) {
      const paths = new Set([
        ...(await routesAt(origin)).map(({ line }) => line.split(' ')[1] ?? ''),
        ...STRANGE,
      ]);
      for (const path of paths) {
        for (const method of METHODS) {
          const { status, headers, body } = await ask(origin, `${method} ${path}`);
          asked += 1;
          if (status === 401) {
            expect(headers['www-authenticate']).toBe('Bearer');
          } else if (status === 200 && PUBLIC.includes(`${method} ${path}`)) {
            open.add(`${method} ${path}`);
            // The name of the build is no secret: every answer carries it.
            expect(body).toMatch(/^$|^\{"alive":true(,"build":"[\w.+-]+")?\}$|^\{"ready":true\}$/);
          } else wrong.push(`${name} ${method} ${path}: ${String(status)}`);
        }
      }
    }
    expect(wrong).toEqual([]);
    expect([...open].sort()).toEqual([...PUBLIC].sort());
    expect(asked).toBeGreaterThan(1_000);
    console.log(`${String(asked)} combinations; without credentials: ${[...open].sort().join(', ')}`);
    const control = (await readState(up.dataDir))?.controlPort;
    for (const line of ['GET /state', 'POST /scale', 'POST /restart', 'GET /', 'DELETE /state']) {
      expect((await ask(`http://127.0.0.1:${String(control)}`, line)).status).toBe(401);
    }
  }, 120_000);

  it('every route x role x port is as the contract says', async () => {
    const wrong: string[] = [];
    let asked = 0;
    for (const { name: service, origin } of ports) {
      for (const { name, line } of await routesAt(origin)) {
        const castes = casteOf.get(name);
        for (const role of ROLES) {
          const body = line.startsWith('POST') ? '{}' : '';
          const headers = {
            ...bearer(keys[role]),
            ...(body === '' ? {} : { 'content-type': 'application/json' }),
          };
          const { status } = await ask(origin, line, headers, body);
          asked += 1;
          const isPublic = OPERATIONAL_ROUTES.some(
            (route) => route.name === name && route.roles === undefined,
          );
          const mayDo = isPublic || mayCall({ subject: role, roles: [role] }, castes as readonly Role[]);
          const didIt = status !== 403 && status !== 401;
          if (mayDo !== didIt) wrong.push(`${service} ${line} as ${role}: ${String(status)}`);
        }
      }
    }
    expect(wrong).toEqual([]);
    expect(asked).toBeGreaterThan(200);
  }, 120_000);

  it('says who one is, whatever headers one makes up, and passes it on to services', async () => {
    const made = { 'x-tandem-principal': 'admin root', 'x-forwarded-for': '10.1.1.1' };
    const who = await fetchJson<object>(`${up.url}/v1/whoami`, {
      headers: { ...bearer(keys.reader), ...made },
    });
    expect(who).toMatchObject({ roles: ['reader'] });
    for (const { origin } of ports.filter(({ name }) => name === 'gateway' || name === 'registry')) {
      const refused = await ask(origin, 'POST /v1/releases', { ...bearer(keys.reader), ...made });
      expect(refused.status).toBe(403);
      expect(refused.body).toContain('role: expected operator or admin, got reader');
    }
    // Ingest asks features for the lag, with a token of its own.
    const events = `${up.url}/v1/sources/transactions`;
    const lag = async (): Promise<unknown> =>
      (await fetchJson<{ lag: unknown }>(events, { headers: bearer(keys.reader) })).lag;
    await expect.poll(lag, { timeout: 20_000 }).toBe(0);
  });

  it('readiness tells details to those alone who may know them', async () => {
    for (const { origin } of ports) {
      expect((await ask(origin, 'GET /readyz')).body).toBe('{"ready":true}');
      expect((await ask(origin, 'GET /readyz', bearer(keys.producer))).body).toBe('{"ready":true}');
      expect((await ask(origin, 'GET /readyz', bearer(keys.reader))).body).toContain('"services"');
    }
  });

  it('refuses a foreign host and a foreign page, also with a key', async () => {
    for (const { origin } of ports) {
      const rebound = await ask(origin, 'GET /v1/models', { ...admin, host: 'evil.example' });
      expect(rebound.status).toBe(403);
      const crossed = { ...admin, origin: 'https://evil.example', 'content-type': 'application/json' };
      expect((await ask(origin, 'POST /v1/releases', crossed, '{}')).status).toBe(403);
    }
  });

  it('takes tokens of the issuer, and no others', async () => {
    const now = Math.floor(Date.now() / 1_000);
    const payload = { iss: ISSUER, aud: 'tandem', sub: 'ada', exp: now + 100, roles: ['reader'] };
    const sign = (changes: object): Promise<string> =>
      new SignJWT({ ...payload, ...changes })
        .setProtectedHeader({ alg: 'ES256', kid: 'one' })
        .sign(issuer.privateKey);
    const good = await sign({});
    for (const { origin } of ports) {
      expect((await ask(origin, 'GET /metrics', bearer(good))).status).toBe(200);
    }
    const who = await fetchJson<object>(`${up.url}/v1/whoami`, { headers: bearer(good) });
    expect(who).toEqual({ subject: 'jwt:ada', roles: ['reader'] });
    expect((await ask(up.url, 'GET /v1/keys', bearer(good))).status).toBe(403);
    for (const changes of [{ aud: 'other' }, { iss: 'tandem' }, { exp: now - 60 }, { roles: ['service'] }]) {
      expect((await ask(up.url, 'GET /v1/models', bearer(await sign(changes)))).status).toBe(401);
    }
  });

  it('keys are made, listed without their secrets, and end for every process when they are revoked', async () => {
    const { mode } = await stat(adminKeyFile(up.dataDir));
    expect(mode & 0o777).toBe(0o600);
    const verb = (...parameters: string[]) => tandem(['keys', ...parameters, '--data-dir', up.dataDir]);
    const made = await verb('create', 'dashboard', '--role', 'reader', '--expires', '90d');
    expect(made.code).toBe(0);
    const key = made.out.trim();
    const [, id = ''] = key.split('_');
    expect(key).toMatch(/^tk_[0-9a-f]{16}_[\w-]{43}$/);
    expect(made.err).not.toContain(key);
    expect(await verb('create', 'x', '--role', 'emperor')).toMatchObject({ code: 2 });
    expect(await verb('create', 'x', '--role', 'reader', '--expires', 'soon')).toMatchObject({ code: 2 });
    const statusOf = async (origin: string): Promise<number> =>
      (await ask(origin, 'GET /metrics', bearer(key))).status;
    for (const { origin } of ports) await expect.poll(() => statusOf(origin), { timeout: 10_000 }).toBe(200);
    const listed = await verb('list');
    expect(listed.out).toContain(id);
    expect(listed.out).not.toContain(key.slice(-43));
    expect(await verb('revoke', id)).toMatchObject({ code: 0 });
    for (const { origin } of ports) await expect.poll(() => statusOf(origin), { timeout: 10_000 }).toBe(401);
    expect(await verb('revoke', 'nobody')).toMatchObject({ code: 1 });
    const asReader = await tandem(['keys', 'list', '--data-dir', up.dataDir], { TANDEM_KEY: keys.reader });
    expect(asReader.err).toContain('PERMISSION_DENIED');
    const short = await tandem(['models', '--data-dir', up.dataDir], { TANDEM_KEY: 'short' });
    expect(short).toMatchObject({ code: 2 });
    expect(short.err).toContain('at least 16 characters');
    const named = await tandem(['models', '--url', up.url]);
    expect(named.err).toContain('UNAUTHENTICATED');
  }, 120_000);

  it('no secret reaches a log, an error or a metric', async () => {
    const canaries = Object.fromEntries(
      ['header', 'cookie', 'query', 'body', 'path', 'key'].map((place) => [
        place,
        `canary-${place}-${'z'.repeat(30)}`,
      ]),
    );
    let answers = '';
    for (const { origin } of ports) {
      for (const line of [
        'POST /v1/releases',
        'POST /v1/sources/transactions/events',
        'POST /v1/decisions/score',
      ]) {
        for (const credentials of [
          admin,
          bearer(`tk_${'0'.repeat(16)}_${'k'.repeat(43)}`),
          bearer(canaries['key'] ?? ''),
        ]) {
          const headers = {
            ...credentials,
            'content-type': 'application/json',
            cookie: `session=${canaries['cookie'] ?? ''}`,
            'x-api-key': canaries['header'] ?? '',
          };
          const body = JSON.stringify({ customerId: canaries['body'], password: canaries['body'] });
          const { body: answer } = await ask(
            origin,
            `${line}?token=${canaries['query'] ?? ''}`,
            headers,
            body,
          );
          answers += answer;
        }
      }
      // The paths that come are not written down either; an answer may repeat one to who sent it.
      await ask(origin, `GET /v1/${canaries['path'] ?? ''}`, admin);
      answers += (await ask(origin, 'GET /metrics', admin)).body;
    }
    const logs = await Promise.all(
      (await readdir(join(up.dataDir, 'logs'))).map((file) =>
        readFile(join(up.dataDir, 'logs', file), 'utf8'),
      ),
    );
    const written = logs.join('\n');
    expect(written).toContain('Credentials were refused');
    const secrets = [
      admin.authorization.slice(-43),
      ...Object.values(keys).map((key) => key.slice(-43)),
      'k'.repeat(43),
    ];
    for (const secret of [...secrets, ...Object.values(canaries), 'canary-environment']) {
      expect(written).not.toContain(secret);
      // Query values that are wrong are repeated to who sent them; nothing else is.
      if (secret !== canaries['query']) expect(answers).not.toContain(secret);
    }
  }, 60_000);

  it('throttles who guesses, and says when to come back', async () => {
    const { origin = '' } = ports.find(({ name }) => name === 'train') ?? {};
    const guess = (): Promise<Asked> =>
      ask(origin, 'GET /metrics', bearer(`tk_${'1'.repeat(16)}_${'x'.repeat(43)}`));
    const answers: Asked[] = [];
    for (let count = 0; count < 15; count += 1) answers.push(await guess());
    const last = answers.at(-1);
    expect(last?.status).toBe(429);
    expect(Number(last?.headers['retry-after'])).toBeGreaterThan(0);
    // Whoever was let in before goes on, and so do services.
    expect((await ask(origin, 'GET /metrics', admin)).status).toBe(200);
    expect((await ask(up.url, 'GET /v1/runs/nowhere', bearer(keys.reader))).status).toBe(404);
  });
});

describe('beyond the loopback', () => {
  it.each([
    [['dev', '--host', '0.0.0.0'], 'TANDEM_AUTH_REQUIRED'],
    [['up', '--host', '0.0.0.0'], '--insecure-http'],
    [['run', 'ingest', '--host', '0.0.0.0'], '--insecure-http'],
  ])(
    '%o is refused without credentials and TLS',
    async (parameters, text) => {
      const folder = await mkdtemp(join(tmpdir(), 'tandem-open-'));
      try {
        const app = join(import.meta.dirname, '../../examples/fraud/app.ts');
        const { code, err } = await tandem(
          [...parameters, '--app', app, '--data-dir', folder, '--port', '0'],
          {
            DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nothing',
          },
        );
        expect(code).toBe(2);
        expect(err).toContain(text);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
    60_000,
  );
});

const canMakeCertificates = await hasOpenssl();

describe.skipIf(!canMakeCertificates)('TLS (skipped where there is no openssl)', () => {
  it('is spoken on every port, between services and to verbs, and only with the right authority', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tandem-tls-'));
    const { certFile, keyFile, caFile } = await makeCertificates(folder, 'tandem.test');
    const client = { TANDEM_TLS_CA_FILE: caFile, TANDEM_TLS_SERVER_NAME: 'tandem.test' };
    const environment = { ...client, TANDEM_TLS_CERT_FILE: certFile, TANDEM_TLS_KEY_FILE: keyFile };
    try {
      await using up = await startUp({ environment });
      for (const { url } of up.processes) {
        expect(url).toMatch(/^https:/);
        const { hostname, port } = new URL(url ?? '');
        // Plain HTTP is no conversation at all there.
        await expect(ask(`http://${hostname}:${port}`, 'GET /livez')).rejects.toThrow();
        // Who does not know the authority does not speak to it.
        await expect(fetch(`${url ?? ''}/livez`)).rejects.toThrow();
      }
      const verb = (environment_: Record<string, string>) =>
        tandem(['status', '--data-dir', up.dataDir, '--json'], environment_);
      // Ingest's lag comes from features: services spoke to each other.
      const lag = async (): Promise<unknown> => {
        const { out } = await verb(client);
        return (JSON.parse(out) as { sources: { lag: unknown }[] }).sources.map((source) => source.lag);
      };
      await expect.poll(lag, { timeout: 60_000, interval: 1_000 }).toEqual([0, 0]);
      const unnamed = await verb({ TANDEM_TLS_CA_FILE: caFile });
      expect(unnamed.out).not.toContain('"lag"');
      const stranger = await verb({});
      expect(stranger.out).not.toContain('"lag"');
      const before = await certificateAt(up.url);
      const renewed = await makeCertificates(folder, 'tandem.test');
      expect(renewed.certFile).toBe(certFile);
      await expect.poll(() => certificateAt(up.url), { timeout: 30_000, interval: 1_000 }).not.toBe(before);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }, 240_000);
});

/** Fingerprint of the certificate that a server shows. */
function certificateAt(origin: string): Promise<string> {
  const { hostname, port } = new URL(origin);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.end();
    });
    socket.once('error', reject);
  });
}
