import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '../../runtime/index.ts';
import type { Child } from './child.ts';
import { LIFE, memoryOf, watchLife } from './life.ts';

let server: Server;
let child: Child;
let nowMs: number;
let asked: string[];
/** What the process answers to a path; `undefined`: nothing, the connection breaks. */
let answer: (path: string) => number | undefined;
let looks: number;
/** Called between two looks; the watch ends when it says so. */
let between: () => boolean;
let over: AbortController;

/** Time passes as fast as the watch asks for it. */
const clock: Clock = {
  now: () => nowMs,
  monotonic: () => nowMs,
  sleep(ms) {
    nowMs += ms;
    looks += 1;
    if (!between()) over.abort();
    return Promise.resolve();
  },
};

beforeEach(async () => {
  [nowMs, looks, asked] = [0, 0, []];
  answer = () => 200;
  between = () => looks < 100;
  over = new AbortController();
  server = createServer((request, response) => {
    const path = request.url ?? '';
    asked.push(path);
    const status = answer(path);
    if (status === undefined) request.socket.destroy();
    else response.writeHead(status).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  child = {
    pid: process.pid,
    started: '',
    url,
    ended: new Promise(() => undefined),
    lastError: () => Promise.resolve(undefined),
  };
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

describe('watchLife', () => {
  const watch = (memoryMax?: number) => {
    const reports: (string | null)[] = [];
    const report = (problem: string | null): void => void reports.push(problem);
    const fault = watchLife(child, { memoryMax, clock, signal: over.signal, report });
    return fault.then((found) => ({ found, reports }));
  };

  it('finds nothing wrong with a process that answers, whatever it answers', async () => {
    answer = (path) => (path === '/livez' ? 500 : 200);
    expect(await watch(1_000_000)).toEqual({ found: undefined, reports: [] });
    expect(asked).toContain('/readyz');
  });

  it('finds one that does not answer so many times in a row', async () => {
    answer = () => (looks < 20 ? 200 : undefined);
    const { found } = await watch();
    expect(found?.reason).toBe('hung');
    expect(looks).toBe(19 + LIFE.failuresMax);
  });

  it('lets single unanswered looks pass', async () => {
    answer = () => (looks % LIFE.failuresMax === 0 ? 200 : undefined);
    expect((await watch()).found).toBeUndefined();
  });

  it('reports one that is not ready for long, and that it is again, but does not end it', async () => {
    answer = (path) => (path === '/readyz' && looks >= 20 && looks < 60 ? 503 : 200);
    const { found, reports } = await watch();
    expect(found).toBeUndefined();
    expect(reports[0]).toBe('not ready for 10 s');
    expect(reports.at(-1)).toBeNull();
    expect(reports.filter((problem) => problem === null)).toHaveLength(1);
  });

  it('tells at once when one is ready again that was reported before', async () => {
    const reports: (string | null)[] = [];
    answer = (path) => (path === '/readyz' && looks < 3 ? 503 : 200);
    between = () => reports.length === 0;
    await watchLife(child, {
      memoryMax: undefined,
      clock,
      isReported: true,
      signal: over.signal,
      report: (problem) => void reports.push(problem),
    });
    expect([reports, looks < LIFE.readyEvery]).toEqual([[null], true]);
  });

  it('finds one that holds more memory than it may, in several looks in a row', async () => {
    const held = (await memoryOf(process.pid)) ?? 0;
    expect(held).toBeGreaterThan(10);
    const { found } = await watch(Math.floor(held / 2));
    expect(found?.reason).toBe('memory');
    expect(looks).toBe(LIFE.overMax);
  });
});
