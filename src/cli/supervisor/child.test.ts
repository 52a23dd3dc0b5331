import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { type Child, readyWithin } from './child.ts';

/** A process that is asked whether it is ready, and answers what `progressOf` says to the so-manieth question. */
async function asked(
  progressOf: (question: number) => number | 'ready',
  withinMs: number,
): Promise<{ ready: boolean; moved: number[] }> {
  let questions = 0;
  const server = createServer((_, response) => {
    questions += 1;
    const progress = progressOf(questions);
    response.statusCode = progress === 'ready' ? 200 : 503;
    response.end(JSON.stringify(progress === 'ready' ? {} : { details: { ready: false, progress } }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const child: Child = {
    pid: process.pid,
    started: '',
    url: `http://127.0.0.1:${String(port)}`,
    ended: new Promise(() => undefined),
    lastError: () => Promise.resolve(undefined),
  };
  const moved: number[] = [];
  try {
    const { signal } = new AbortController();
    const ready = await readyWithin(child, withinMs, signal, (progress) => moved.push(progress));
    return { ready, moved };
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

describe('a child that gets ready', () => {
  it('is waited for as long as it comes nearer', async () => {
    // At least 4 s of questions, within 2 s each.
    const { ready, moved } = await asked((question) => (question > 40 ? 'ready' : question), 2_000);
    expect(ready).toBe(true);
    expect(moved).toEqual(Array.from({ length: 40 }, (_, index) => index + 1));
  });

  it('is given up when it does not, or no more', async () => {
    expect(await asked(() => 0, 500)).toEqual({ ready: false, moved: [] });
    expect(await asked((question) => Math.min(question, 3), 1_000)).toMatchObject({ ready: false });
  });
});
