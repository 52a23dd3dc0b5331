import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PlatformError, type VectorRead } from '../../contract/index.ts';
import { type CallContext, type Caller, type CallOptions, RecentSamples } from '../../runtime/index.ts';
import { NO_TRACE } from '../../runtime/trace/index.ts';
import { VectorReads, type VectorReadsParts } from './vector-reads.ts';

type Candidate = Record<string, unknown>;

interface OpenCall {
  readonly candidates: readonly Candidate[];
  readonly timeoutMs: number | undefined;
  answer(): void;
  fail(error: PlatformError): void;
}

const metrics: VectorReadsParts['metrics'] = {
  queueDepth: { set: () => undefined },
  batchRows: { observe: () => undefined },
};

/** A features service whose answers the test gives by hand; a row echoes its candidate's number. */
function byHand(limits: Partial<VectorReadsParts['limits']> = {}) {
  const calls: OpenCall[] = [];
  let now = 0;
  const call = ((_route: unknown, input: { body: { candidates: Candidate[] } }, options?: CallOptions) =>
    new Promise((resolve, reject) => {
      const { candidates } = input.body;
      const rows = candidates.map(({ number }) => ({ asOf: 1, values: [number as number] }));
      const read: VectorRead = { vector: 'card', hash: 'h', names: ['number'], positions: {}, rows };
      calls.push({ candidates, timeoutMs: options?.timeoutMs, answer: () => resolve(read), fail: reject });
    })) as unknown as Caller;
  const clock = { now: () => now, monotonic: () => now, sleep: () => Promise.resolve() };
  const waits = new RecentSamples(clock);
  const reads = new VectorReads({
    vector: 'card',
    call,
    clock,
    metrics,
    waits,
    trace: NO_TRACE,
    limits: { queueMax: 100, batchMax: 4, readsMax: 1, ...limits },
  });
  return { calls, reads, waits, pass: (ms: number) => (now += ms) };
}

function context(deadlineMs = 1_000, signal: AbortSignal = new AbortController().signal): CallContext {
  return { requestId: 'r', principal: { subject: 'test', roles: ['admin'] }, deadlineMs, signal };
}

function code(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'answered',
    (error: unknown) => (PlatformError.is(error) ? error.code : String(error)),
  );
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('VectorReads', () => {
  it('reads at once when idle, and collects while a read is under way', async () => {
    const { calls, reads } = byHand();
    const answers = Array.from({ length: 8 }, (_, number) => reads.read({ number }, context()));
    expect(calls.map((call) => call.candidates.length)).toEqual([1]);
    for (let index = 0; index < 3; index += 1) {
      calls[index]?.answer();
      await settled();
    }
    expect(calls.map((call) => call.candidates.length)).toEqual([1, 4, 3]);
    const rows = await Promise.all(answers);
    expect(rows.map(({ row }) => row.values[0])).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it('never splits candidates that were given together, and shares reads with others as far as they fit', async () => {
    const { calls, reads } = byHand();
    const numbers = (from: number, count: number): Candidate[] =>
      Array.from({ length: count }, (_, place) => ({ number: from + place }));
    const asked = [
      reads.readAll(numbers(0, 6), context()),
      reads.readAll(numbers(10, 3), context()),
      reads.read({ number: 20 }, context()).then(({ row }) => ({ rows: [row] })),
      reads.readAll(numbers(30, 2), context()),
    ];
    for (let index = 0; index < 3; index += 1) {
      calls[index]?.answer();
      await settled();
    }
    expect(calls.map((call) => call.candidates.length)).toEqual([6, 4, 2]);
    const answers = await Promise.all(asked);
    expect(answers.map(({ rows }) => rows.map(({ values }) => values[0]))).toEqual([
      [0, 1, 2, 3, 4, 5],
      [10, 11, 12],
      [20],
      [30, 31],
    ]);
  });

  it('says how long decisions wait for their read to begin, not how long the read takes', async () => {
    const { calls, reads, waits, pass } = byHand();
    const first = reads.read({ number: 0 }, context());
    expect(waits.average()).toBe(0);
    const second = reads.read({ number: 1 }, context());
    pass(30);
    calls[0]?.answer();
    await settled();
    pass(500);
    calls[1]?.answer();
    await Promise.all([first, second]);
    // One did not wait, one waited for 30 ms.
    expect(waits.average()).toBe(15);
  });

  it('has no more reads under way than allowed', async () => {
    const { calls, reads } = byHand({ readsMax: 2 });
    const answers = Array.from({ length: 5 }, (_, number) => reads.read({ number }, context()));
    expect(calls).toHaveLength(2);
    calls[1]?.answer();
    await settled();
    expect(calls).toHaveLength(3);
    calls[0]?.answer();
    calls[2]?.answer();
    await Promise.all(answers);
  });

  it('refuses what does not fit into the queue', async () => {
    const { calls, reads } = byHand({ queueMax: 2 });
    const answers = Array.from({ length: 4 }, (_, number) => code(reads.read({ number }, context())));
    expect(await answers[3]).toBe('OVERLOADED');
    calls[0]?.answer();
    await settled();
    calls[1]?.answer();
    expect(await Promise.all(answers.slice(0, 3))).toEqual(['answered', 'answered', 'answered']);
  });

  it('refuses at once what cannot be in time', async () => {
    const { calls, reads, pass } = byHand();
    const first = reads.read({ number: 0 }, context());
    pass(200);
    calls[0]?.answer();
    await first;
    await settled();
    const second = reads.read({ number: 1 }, context());
    expect(await code(reads.read({ number: 2 }, context(300)))).toBe('OVERLOADED');
    const third = code(reads.read({ number: 3 }, context(500)));
    calls[1]?.answer();
    await second;
    await settled();
    calls[2]?.answer();
    expect(await third).toBe('answered');
    await settled();
    // Nothing is under way: a short deadline is worth a try.
    const hurried = code(reads.read({ number: 4 }, context(201)));
    calls[3]?.answer();
    expect(await hurried).toBe('answered');
  });

  it('does not take the time that a service was away for the time of a read', async () => {
    const { calls, reads, pass } = byHand();
    const first = code(reads.read({ number: 0 }, context()));
    pass(900);
    calls[0]?.fail(new PlatformError('UNAVAILABLE', 'away'));
    expect(await first).toBe('UNAVAILABLE');
    await settled();
    // It is back: one read is under way, and the next has 100 ms left, which is enough for anything that was measured.
    const second = code(reads.read({ number: 1 }, context(1_000)));
    const third = code(reads.read({ number: 2 }, context(1_000)));
    calls[1]?.answer();
    await settled();
    calls[2]?.answer();
    expect(await Promise.all([second, third])).toEqual(['answered', 'answered']);
  });

  it('never reads for those whose time is over or who went away', async () => {
    const { calls, reads, pass } = byHand();
    const first = reads.read({ number: 0 }, context());
    const gone = new AbortController();
    const late = code(reads.read({ number: 1 }, context(50)));
    const left = code(reads.read({ number: 2 }, context(1_000, gone.signal)));
    const waiting = reads.read({ number: 3 }, context());
    gone.abort();
    expect(await left).toBe('DEADLINE_EXCEEDED');
    pass(60);
    calls[0]?.answer();
    await first;
    expect(await late).toBe('DEADLINE_EXCEEDED');
    await settled();
    expect(calls[1]?.candidates).toEqual([{ number: 3 }]);
    expect(calls[1]?.timeoutMs).toBe(940);
    calls[1]?.answer();
    await waiting;
    expect(await code(reads.read({ number: 4 }, context(60)))).toBe('DEADLINE_EXCEEDED');
  });

  it('lets a bad candidate fail alone, wherever it stands', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.boolean(), { minLength: 2, maxLength: 12 }), async (bad) => {
        const call = ((_route: unknown, input: { body: { candidates: Candidate[] } }) => {
          const { candidates } = input.body;
          const culprit = candidates.find(({ number }) => bad[number as number]);
          if (culprit !== undefined)
            return Promise.reject(new PlatformError('BAD_REQUEST', String(culprit['number'])));
          const rows = candidates.map(({ number }) => ({ asOf: 1, values: [number as number] }));
          return Promise.resolve({ vector: 'card', hash: 'h', names: [], positions: {}, rows });
        }) as unknown as Caller;
        const clock = { now: () => 0, monotonic: () => 0, sleep: () => Promise.resolve() };
        const limits = { queueMax: 100, batchMax: 16, readsMax: 1 };
        const reads = new VectorReads({ vector: 'card', call, clock, metrics, limits, trace: NO_TRACE });
        const answers = await Promise.allSettled(bad.map((_, number) => reads.read({ number }, context())));
        answers.forEach((answer, number) => {
          if (answer.status === 'fulfilled') expect(answer.value.row.values).toEqual([number]);
          else expect(answer.reason).toMatchObject({ code: 'BAD_REQUEST', message: String(number) });
          expect(answer.status === 'rejected').toBe(bad[number]);
        });
      }),
      { numRuns: 50 },
    );
  });

  it('does not ask again when the service is away, and hides what only we would understand', async () => {
    const { calls, reads } = byHand();
    const answers = Array.from({ length: 3 }, (_, number) => code(reads.read({ number }, context())));
    calls[0]?.fail(new PlatformError('VECTOR_NOT_FOUND', 'no such vector'));
    await settled();
    calls[1]?.fail(new PlatformError('UNAVAILABLE', 'away'));
    expect(await Promise.all(answers)).toEqual(['UNAVAILABLE', 'UNAVAILABLE', 'UNAVAILABLE']);
    expect(calls).toHaveLength(2);
  });
});
