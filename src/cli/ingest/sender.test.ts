import { describe, expect, it } from 'vitest';
import { type IngestResult, PlatformError } from '../../contract/index.ts';
import type { Caller, Clock } from '../../runtime/index.ts';
import type { RecordBatch } from './cut-batches.ts';
import { emptyTotals, Sender, type SenderOptions } from './sender.ts';

/** A clock that jumps over every pause, and remembers it. */
class JumpingClock implements Clock {
  readonly pauses: number[] = [];
  #now = 0;

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  sleep(ms: number): Promise<void> {
    this.pauses.push(ms);
    this.#now += ms;
    return Promise.resolve();
  }
}

function batch(place: number): RecordBatch {
  return { bytes: Buffer.from('x\n'), records: 10, end: { offset: place * 2, records: place * 10 } };
}

const answer = (accepted: number): IngestResult => ({ accepted, quarantined: 0, positions: {}, results: [] });

function sender(
  call: () => Promise<IngestResult>,
  change: Partial<SenderOptions> = {},
): {
  readonly sender: Sender;
  readonly clock: JumpingClock;
  readonly done: number[];
  readonly waits: string[];
} {
  const clock = new JumpingClock();
  const done: number[] = [];
  const waits: string[] = [];
  const options: SenderOptions = {
    call: call as unknown as Caller,
    clock,
    random: { float: () => 0, id: () => 'x' },
    source: 'orders',
    mediaType: 'application/x-ndjson',
    parallel: 1,
    giveUpMs: 300_000,
    signal: new AbortController().signal,
    onDone(end) {
      done.push(end.records);
      return Promise.resolve();
    },
    onWait: ({ code }) => void waits.push(code),
    ...change,
  };
  return { sender: new Sender(options, emptyTotals()), clock, done, waits };
}

describe('Sender', () => {
  it('waits as long as a server asks for, and longer while it goes on refusing', async () => {
    let calls = 0;
    const set = sender(() => {
      calls += 1;
      if (calls > 4) return Promise.resolve(answer(10));
      const details = calls === 1 ? { retryAfterMs: 7_000 } : {};
      return Promise.reject(
        new PlatformError(calls === 1 ? 'TOO_MANY_REQUESTS' : 'OVERLOADED', 'later', { details }),
      );
    });
    await set.sender.send(batch(1), 0);
    await set.sender.finish();
    expect(set.clock.pauses).toEqual([7_000, 1_000, 2_000, 4_000]);
    expect(set.waits).toEqual(['TOO_MANY_REQUESTS', 'OVERLOADED', 'OVERLOADED', 'OVERLOADED']);
    expect(set.done).toEqual([10]);
  });

  it('gives up after a time without a success, and at once when trying again is no use', async () => {
    const away = sender(() => Promise.reject(new PlatformError('UNAVAILABLE', 'away')), { giveUpMs: 20_000 });
    await away.sender.send(batch(1), 0);
    await expect(away.sender.finish()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(away.clock.monotonic()).toBeLessThanOrEqual(20_000);
    const refused = sender(() => Promise.reject(new PlatformError('PERMISSION_DENIED', 'no')));
    await refused.sender.send(batch(1), 0);
    await expect(refused.sender.finish()).rejects.toMatchObject({ code: 'PERMISSION_DENIED' });
    expect(refused.clock.pauses).toEqual([]);
  });

  it('has so many batches on their way and no more, and says in their order what is done', async () => {
    const open: ((result: IngestResult) => void)[] = [];
    const set = sender(() => new Promise((resolve) => open.push(resolve)), { parallel: 2 });
    await set.sender.send(batch(1), 0);
    await set.sender.send(batch(2), 10);
    const third = set.sender.send(batch(3), 20);
    open[1]?.(answer(10));
    await Promise.resolve();
    expect([open.length, set.done]).toEqual([2, []]);
    open[0]?.(answer(10));
    await third;
    expect(set.done).toEqual([10]);
    open[2]?.(answer(10));
    await set.sender.finish();
    expect(set.done).toEqual([10, 20, 30]);
  });
});
