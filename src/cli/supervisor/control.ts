import { randomBytes, timingSafeEqual } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { z } from 'zod';
import { fromProblem, PlatformError, type ServiceName, toProblem } from '../../contract/index.ts';
import { SERVICE_NAMES } from '../../contract/route.ts';
import type { ReplicaRange } from '../../define/index.ts';
import type { MetricsRegistry } from '../../runtime/index.ts';
import type { Deployer, DeployOrder } from '../deploy/deployer.ts';
import { isAlive } from '../process-identity.ts';
import { readState, type UpState } from './state-file.ts';
import type { Supervisor } from './supervisor.ts';

/** Limits of the supervisor's control server. */
const CONTROL_LIMITS = {
  /** Size of a request, in bytes. */
  bodyBytesMax: 4_096,
  /** How long a request may take to arrive, in milliseconds. */
  requestMs: 5_000,
  /** How long an answer is waited for, in milliseconds. */
  answerMs: 10_000,
  /** How long for one about a deployment, for which builds are asked what they are. */
  deployMs: 300_000,
  connectionsMax: 32,
} as const;
const HOST = '127.0.0.1';
const TOKEN_FILE = 'up.token';
const TOKEN_BYTES = 32;

const service = z.enum(SERVICE_NAMES);
const count = z.int().min(0);
/** `null`: as the description says. */
const replicas = z.union([count, z.strictObject({ min: count, max: count })]).nullable();
const scaleBody = z.strictObject({ service, replicas });
const serviceBody = z.strictObject({ service });
const deployBody = z.strictObject({
  services: z.array(service).min(1).max(SERVICE_NAMES.length),
  digest: z.string().max(128).nullable(),
  check: z.boolean(),
});

/** The server that verbs give orders to. */
export interface Control extends AsyncDisposable {
  readonly port: number;
}

/**
 * Listens on the loopback for `GET /state`, `GET /metrics`, `POST /scale`, `POST /restart` and `POST /deploy`. Only who can
 * read the file of the token, this user, is listened to.
 */
export async function startControl(dataDir: string, parts: Omit<ControlParts, 'token'>): Promise<Control> {
  const token = randomBytes(TOKEN_BYTES).toString('hex');
  const file = join(dataDir, TOKEN_FILE);
  // Anew: an old file would keep its mode.
  await rm(file, { force: true });
  await writeFile(file, token, { mode: 0o600, flag: 'wx' });
  const server = createServer(
    {
      requestTimeout: CONTROL_LIMITS.requestMs,
      headersTimeout: CONTROL_LIMITS.requestMs,
      connectionsCheckingInterval: CONTROL_LIMITS.requestMs,
    },
    (request, response) => {
      void answer(request, { ...parts, token }).then(({ status, mediaType, body }) => {
        response.writeHead(status, { 'content-type': mediaType, connection: 'close' });
        response.end(body);
      });
    },
  );
  server.maxConnections = CONTROL_LIMITS.connectionsMax;
  const port = await listen(server);
  return {
    port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(file, { force: true });
    },
  };
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, HOST, () => resolve((server.address() as AddressInfo).port));
  });
}

interface Answer {
  readonly status: number;
  readonly mediaType: string;
  readonly body: string;
}

interface ControlParts {
  readonly supervisor: Supervisor;
  readonly deployer: Pick<Deployer, 'order'>;
  readonly metrics: MetricsRegistry;
  readonly token: string;
}

const JSON_TYPE = 'application/json';

async function answer(request: IncomingMessage, parts: ControlParts): Promise<Answer> {
  const { supervisor, metrics, token } = parts;
  try {
    if (!isAuthorized(request, token)) {
      throw new PlatformError('UNAUTHENTICATED', 'Orders come with the token of the supervisor');
    }
    if (request.method === 'GET' && request.url === '/metrics') {
      return { status: 200, mediaType: metrics.mediaType, body: await metrics.text() };
    }
    await obey(request, parts);
    return { status: 200, mediaType: JSON_TYPE, body: JSON.stringify(supervisor.state()) };
  } catch (error) {
    const known = PlatformError.is(error)
      ? error
      : new PlatformError('INTERNAL', String(error), { cause: error });
    const problem = toProblem(known);
    return { status: problem.status, mediaType: JSON_TYPE, body: JSON.stringify(problem) };
  }
}

function isAuthorized(request: IncomingMessage, token: string): boolean {
  const given = Buffer.from(request.headers.authorization ?? '');
  const wanted = Buffer.from(`Bearer ${token}`);
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

async function obey(request: IncomingMessage, { supervisor, deployer }: ControlParts): Promise<void> {
  switch (`${request.method ?? ''} ${request.url ?? ''}`) {
    case 'GET /state':
      return;
    case 'POST /scale': {
      const order = read(scaleBody, await bodyOf(request));
      return supervisor.scale(order.service, order.replicas);
    }
    case 'POST /restart':
      return supervisor.restart(read(serviceBody, await bodyOf(request)).service);
    case 'POST /deploy':
      return deployer.order(read(deployBody, await bodyOf(request)));
    default:
      throw new PlatformError(
        'ROUTE_NOT_FOUND',
        'The supervisor knows GET /state, GET /metrics, POST /scale, POST /restart and POST /deploy',
      );
  }
}

function read<TBody>(schema: z.ZodType<TBody>, text: string): TBody {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new PlatformError('BAD_REQUEST', 'The body is not JSON', { cause: error });
  }
  const found = schema.safeParse(value);
  if (found.success) return found.data;
  throw new PlatformError('BAD_REQUEST', z.prettifyError(found.error));
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > CONTROL_LIMITS.bodyBytesMax) {
      throw new PlatformError('BODY_TOO_LARGE', `At most ${String(CONTROL_LIMITS.bodyBytesMax)} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** The supervisor of a data directory, as verbs see it. */
export interface ControlClient {
  state(): Promise<UpState>;
  /** A number, a range, or `null` for what the description says. */
  scale(service: ServiceName, replicas: number | ReplicaRange | null): Promise<UpState>;
  restart(service: ServiceName): Promise<UpState>;
  deploy(order: DeployOrder): Promise<UpState>;
}

/** Finds the running `tandem up` of a data directory. Rejects with UNAVAILABLE when there is none. */
export async function openControl(dataDir: string): Promise<ControlClient> {
  const state = await readState(dataDir);
  if (state === undefined || !(await isAlive(state.supervisor))) {
    throw new PlatformError(
      'UNAVAILABLE',
      `No 'tandem up' runs on the data directory ${dataDir}. Start one, or name another --data-dir.`,
    );
  }
  const { controlPort } = state;
  if (controlPort === null) {
    throw new PlatformError('UNAVAILABLE', `'tandem up' is still starting; try again in a moment`);
  }
  const token = await readFile(join(dataDir, TOKEN_FILE), 'utf8').catch(() => '');
  const ask = (
    method: string,
    path: string,
    body?: unknown,
    answerMs: number = CONTROL_LIMITS.answerMs,
  ): Promise<UpState> =>
    send(new URL(path, `http://${HOST}:${String(controlPort)}`), {
      method,
      headers: { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(answerMs),
    });
  return {
    state: () => ask('GET', '/state'),
    scale: (name, wanted) => ask('POST', '/scale', { service: name, replicas: wanted }),
    restart: (name) => ask('POST', '/restart', { service: name }),
    deploy: (order) => ask('POST', '/deploy', order, CONTROL_LIMITS.deployMs),
  };
}

async function send(url: URL, init: RequestInit): Promise<UpState> {
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    throw new PlatformError('UNAVAILABLE', "'tandem up' does not answer", { cause: error });
  }
  const body: unknown = await response.json().catch(() => undefined);
  if (response.ok) return body as UpState;
  throw (
    fromProblem(body) ??
    new PlatformError('UNAVAILABLE', `'tandem up' answered ${String(response.status)}, but not like one`)
  );
}
