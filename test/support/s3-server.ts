import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { readS3Address, readS3Credentials } from '../../src/adapters/objects/s3-address.ts';
import { S3Client } from '../../src/adapters/objects/s3-client.ts';
import { ROOT } from '../tidy/tree.ts';
import { serverPort } from './server-port.ts';
import { isSwiftInstalled, SWIFT_PACKAGES, swiftServer } from './swift-server.ts';

/** A small S3 server; it is no dependency, since nothing but its program is used. It checks no signatures. */
const PACKAGE = 's3rver@3.7.1';
/** Where it is installed. `npm install` clears node_modules of what it does not know. */
const FOLDER = join(ROOT, '.cache', 's3rver');
const PROGRAM = join(FOLDER, 'node_modules', 's3rver', 'bin', 's3rver.js');

/** A kind of S3 server that tests can be run against. */
export interface S3ServerKind {
  readonly name: string;
  /** Why there is none, and how to get one; `undefined` when there is. */
  readonly missing: string | undefined;
  open(): Promise<S3Server>;
}

/** Every kind of S3 server that the tests know. */
export const S3_SERVERS: readonly S3ServerKind[] = [
  { name: 's3rver', missing: s3rverMissing(), open: s3rver },
  {
    name: 'OpenStack Swift',
    missing: isSwiftInstalled()
      ? undefined
      : `not installed; as root: apt-get install -y ${SWIFT_PACKAGES}; and run as root`,
    open: swift,
  },
];

function s3rverMissing(): string | undefined {
  if (existsSync(PROGRAM)) return undefined;
  return `${PACKAGE} is not installed: npm install --prefix .cache/s3rver --no-save --no-package-lock --ignore-scripts ${PACKAGE}`;
}

/** A real S3 server on the loopback with an empty bucket. */
export interface S3Server extends AsyncDisposable {
  /** OBJECT_URL of the bucket. */
  readonly url: string;
  readonly port: number;
  /** The variables that `s3Objects` reads. */
  readonly environment: Readonly<Record<string, string>>;
  /** Ends it; the objects stay. */
  stop(): Promise<void>;
  /** Starts it again on the same port. */
  start(): Promise<void>;
}

async function s3rver(): Promise<S3Server> {
  const folder = await mkdtemp(join(tmpdir(), 'tandem-s3-'));
  let child: ChildProcess | undefined;
  const port = await serverPort();
  const stop = async (): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child?.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  };
  const start = async (): Promise<void> => {
    const options = ['-d', folder, '-a', '127.0.0.1', '-p', String(port), '--configure-bucket', 'objects'];
    const started = spawn(process.execPath, [PROGRAM, ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
    child = started;
    let log = '';
    started.stderr.on('data', (chunk: Buffer) => (log = `${log}${chunk.toString()}`.slice(-2_000)));
    await new Promise<void>((resolve, reject) => {
      createInterface({ input: started.stdout }).on('line', (line) => {
        if (/listening on .*:\d+/.test(line)) resolve();
      });
      started.once('exit', (code) => reject(new Error(`s3rver ended with ${String(code)}: ${log}`)));
    });
  };
  await start();
  return {
    port,
    url: `s3://objects/some/where?endpoint=http://127.0.0.1:${String(port)}&region=eu-central-1`,
    environment: { AWS_ACCESS_KEY_ID: 'S3RVER', AWS_SECRET_ACCESS_KEY: 'S3RVER' },
    start,
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function swift(): Promise<S3Server> {
  const server = await swiftServer();
  const { port, region } = server;
  const url = `s3://objects/some/where?endpoint=http://127.0.0.1:${String(port)}&region=${region}`;
  const environment = {
    AWS_ACCESS_KEY_ID: server.accessKeyId,
    AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
  };
  await using client = new S3Client(readS3Address(url, {}), readS3Credentials(environment));
  try {
    await client.send({ method: 'PUT', key: '' }, ({ body }) => body.dump());
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  return {
    port,
    url,
    environment,
    start: () => server.start(),
    stop: () => server.stop(),
    [Symbol.asyncDispose]: async () => server[Symbol.asyncDispose](),
  };
}
