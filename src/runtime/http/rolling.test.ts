import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { startInstance } from '../../../test/support/instance.ts';
import { type FreshDatabase, freshDatabase } from '../../../test/conformance/embedded-server.ts';
import { until } from '../../../test/conformance/expectations.ts';
import { PlatformError } from '../../contract/index.ts';
import type { RunningServices } from '../host.ts';
import { serveTest, testRoutes } from './test-service.ts';

const nothing = { params: {}, query: {}, body: {} };
const PATIENCE_MS = 120_000;

const begun: ChildProcess[] = [];
afterEach(() => {
  for (const child of begun.splice(0)) child.kill('SIGKILL');
});

/** Resolves when it serves, or, with 'held', when it would but for a word on its standard input. */
async function spawnInstance({ url }: FreshDatabase, ...held: readonly 'held'[]): Promise<ChildProcess> {
  const script = fileURLToPath(new URL('../../../test/support/instance.ts', import.meta.url));
  const child = spawn(process.execPath, [script, url, ...held], { stdio: ['pipe', 'pipe', 'inherit'] });
  begun.push(child);
  await once(createInterface({ input: child.stdout }), 'line');
  return child;
}

/** Calls that must not be repeated, from many callers at a time until it is told to end. */
class Load {
  readonly failures: unknown[] = [];
  readonly pids = new Set<number>();
  calls = 0;
  #isOver = false;
  readonly #ended: Promise<unknown>;

  constructor(caller: RunningServices, callers: number) {
    this.#ended = Promise.all(Array.from({ length: callers }, () => this.#run(caller)));
  }

  async #run(caller: RunningServices): Promise<void> {
    while (!this.#isOver) {
      try {
        const { pid } = await caller.call(testRoutes.book, nothing);
        this.pids.add(pid);
        this.calls += 1;
      } catch (error) {
        this.failures.push(error);
      }
    }
  }

  async more(calls: number): Promise<void> {
    const goal = this.calls + calls;
    await until(() => this.calls >= goal);
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await this.#ended;
  }
}

async function exitOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode;
}

describe('processes of a service', () => {
  it(
    'are replaced one after another without a failure, though no call may be repeated',
    async () => {
      await using database = await freshDatabase();
      await using caller = await startInstance(database.url, 'nothing');
      let current = await spawnInstance(database);
      const load = new Load(caller, 12);
      for (let replaced = 0; replaced < 4; replaced += 1) {
        await load.more(200);
        const next = await spawnInstance(database);
        current.kill('SIGTERM');
        expect(await exitOf(current)).toBe(0);
        current = next;
      }
      await load.more(200);
      await load.end();
      expect(load.failures).toEqual([]);
      expect(load.pids.size).toBe(5);
    },
    PATIENCE_MS,
  );

  it(
    'lose only the calls that one of them had begun when it was killed',
    async () => {
      await using database = await freshDatabase();
      await using caller = await startInstance(database.url, 'nothing');
      const killed = await spawnInstance(database);
      await spawnInstance(database);
      const load = new Load(caller, 12);
      await until(() => load.pids.size === 2);
      killed.kill('SIGKILL');
      await exitOf(killed);
      await load.more(1_000);
      await load.end();
      expect(load.failures.length).toBeLessThanOrEqual(12);
      for (const error of load.failures) {
        expect(PlatformError.is(error) && error.code).toBe('UNAVAILABLE');
      }
    },
    PATIENCE_MS,
  );

  it(
    'may be none: calls say that one is needed and wait for it',
    async () => {
      await using database = await freshDatabase();
      await using caller = await startInstance(database.url, 'nothing');
      // Calls wait 10 s at most: a process may need more of a busy machine to load its modules alone.
      const child = await spawnInstance(database, 'held');
      const calls = Promise.all(Array.from({ length: 20 }, () => caller.call(testRoutes.book, nothing)));
      const hurried = caller.call(testRoutes.book, nothing, { timeoutMs: 300 });
      await expect(hurried).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      child.stdin?.write('start\n');
      expect(new Set((await calls).map(({ pid }) => pid))).toEqual(new Set([child.pid]));
    },
    PATIENCE_MS,
  );
});

/** A connection on which requests are sent by hand. */
async function dial(url: URL): Promise<{ send: () => void; heard: () => string; ended: Promise<unknown> }> {
  const socket = connect(Number(url.port), url.hostname);
  let text = '';
  socket.on('data', (chunk) => (text += chunk.toString()));
  const ended = Promise.race([once(socket, 'end'), once(socket, 'error')]);
  await once(socket, 'connect');
  return {
    send: () => void socket.write('GET /v1/greetings/you HTTP/1.1\r\nhost: localhost\r\n\r\n'),
    heard: () => text,
    ended,
  };
}

describe('a server that stops', () => {
  it('says that it is not ready, yet answers, and ends each connection with its answer', async () => {
    await using server = await serveTest();
    const connection = await dial(server.http.url);
    connection.send();
    await until(() => connection.heard().includes('hello you'));
    expect(connection.heard()).not.toContain('connection: close');
    const drained = server.http.drain(60_000);
    expect((await fetch(server.url('/readyz'))).status).toBe(503);
    connection.send();
    await connection.ended;
    const [, second] = connection.heard().split('HTTP/1.1 200').slice(1);
    expect(second).toContain('connection: close');
    expect(second).toContain('x-tandem-stopping: yes');
    expect(second).toContain('hello you');
    // Nobody asks any more.
    await drained;
  });

  it('begins nothing once it refuses, and says so', async () => {
    await using server = await serveTest();
    const connection = await dial(server.http.url);
    const held = fetch(server.url('/v1/waits'), { method: 'POST' });
    await until(() => server.test.waiting.length === 1);
    const stopped = server.http.stop(60_000);
    connection.send();
    const late = await fetch(server.url('/v1/greetings/late'));
    expect(late.status).toBe(503);
    expect(late.headers.get('x-tandem-begun')).toBe('no');
    await connection.ended;
    expect(connection.heard()).toContain('x-tandem-begun: no');
    server.test.waiting[0]?.release();
    expect((await held).status).toBe(200);
    await stopped;
  });

  it('leaves no client in doubt that sends on an idle connection at its end', async () => {
    await using server = await serveTest();
    const connections = await Promise.all(Array.from({ length: 50 }, () => dial(server.http.url)));
    for (const { send } of connections) send();
    await until(() => connections.every(({ heard }) => heard().includes('hello you')));
    const stopped = server.http.stop(1_000);
    for (const { send } of connections) send();
    await Promise.all(connections.map(({ ended }) => ended));
    for (const { heard } of connections) {
      const [, last = ''] = heard().split('hello you');
      expect(last).toContain('HTTP/1.1 503');
      expect(last).toContain('x-tandem-begun: no');
    }
    await stopped;
  });

  it('says of a refusal for too much work that nothing was begun', async () => {
    await using server = await serveTest({ requestsMax: 1 });
    const held = fetch(server.url('/v1/waits'), { method: 'POST' });
    await until(() => server.test.waiting.length === 1);
    const refused = await fetch(server.url('/v1/greetings/you'));
    expect(refused.headers.get('x-tandem-begun')).toBe('no');
    server.test.waiting[0]?.release();
    const answer = await held;
    expect(answer.headers.get('x-tandem-begun')).toBeNull();
  });
});
