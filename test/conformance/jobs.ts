import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobAttempt, Jobs, Tables } from '../../src/runtime/ports/index.ts';
import { rejectionCode, until } from './expectations.ts';

export interface JobsOpening {
  readonly jobs: Jobs;
  readonly tables: Tables;
  close(): Promise<void>;
}

const QUEUE = { heartbeatSeconds: 10, retries: 2, expireSeconds: 60 };

interface Payload {
  readonly value: number;
}

/** What every adapter of the port Jobs must do. */
export function jobsConformance(name: string, open: () => Promise<JobsOpening>): void {
  describe(`${name}: Jobs`, () => {
    let one: JobsOpening;
    let two: JobsOpening;
    let queues = 0;
    beforeAll(async () => {
      one = await open();
      two = await open();
    });
    afterAll(async () => {
      await Promise.all([one.close(), two.close()]);
    });
    const newQueue = async (options = QUEUE): Promise<string> => {
      queues += 1;
      const queue = `conformance-${queues}`;
      await Promise.all([one.jobs.createQueue(queue, options), two.jobs.createQueue(queue, options)]);
      return queue;
    };

    it('does every job, with its payload', async () => {
      const queue = await newQueue();
      const done: number[] = [];
      const stop = await two.jobs.work<Payload>(
        queue,
        3,
        async ({ payload }) => void done.push(payload.value),
      );
      const ids = await Promise.all(
        Array.from({ length: 12 }, (_, value) => one.jobs.send(queue, { value })),
      );
      await until(() => (done.length >= 12 ? true : undefined));
      expect(done.sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, value) => value));
      await until(async () =>
        (await one.jobs.status(queue, ids[0] ?? ''))?.state === 'done' ? true : undefined,
      );
      await stop(1_000);
      expect(await one.jobs.backlog(queue)).toEqual({ ready: 0, active: 0, oldestSeconds: 0 });
    });

    it('enqueues an id once', async () => {
      const queue = await newQueue();
      const ids = await Promise.all(
        [one, two, one].map(({ jobs }) => jobs.send(queue, { value: 1 }, { id: 'retrain of today' })),
      );
      expect(new Set(ids)).toEqual(new Set(['retrain of today']));
      expect(await one.jobs.backlog(queue)).toMatchObject({ ready: 1 });
      const attempts: JobAttempt<Payload>[] = [];
      const stop = await one.jobs.work<Payload>(queue, 1, async (job) => void attempts.push(job));
      await until(async () =>
        (await one.jobs.status(queue, 'retrain of today'))?.state === 'done' ? true : undefined,
      );
      await one.jobs.send(queue, { value: 2 }, { id: 'retrain of today' });
      expect(await one.jobs.backlog(queue)).toMatchObject({ ready: 0 });
      await stop(1_000);
      expect(attempts.map(({ id, attempt, payload }) => [id, attempt, payload.value])).toEqual([
        ['retrain of today', 0, 1],
      ]);
    });

    it('takes the higher priority first, and so many of a group at a time', async () => {
      const queue = await newQueue();
      const jobs = [
        { value: 1, priority: -5, group: 'a' },
        { value: 2, priority: 0, group: 'a' },
        { value: 3, priority: 1_000_000_000, group: 'a' },
        { value: 4, priority: -9, group: 'b' },
      ];
      for (const { value, ...options } of jobs) await one.jobs.send(queue, { value }, options);
      const started: number[] = [];
      const opened: (() => void)[] = [];
      const stop = await two.jobs.work<Payload>(
        queue,
        { concurrency: 3, groupMax: 1 },
        async ({ payload }) => {
          started.push(payload.value);
          await new Promise<void>((resolve) => opened.push(resolve));
        },
      );
      // Of the group one at most, but for workers that look at the same moment; the other group does not wait for it.
      await until(() => (started.includes(3) && started.includes(4) ? true : undefined));
      const rest = setInterval(() => opened.splice(0).forEach((open) => open()), 20);
      await until(() => (started.length === 4 ? true : undefined));
      clearInterval(rest);
      opened.splice(0).forEach((open) => open());
      await stop(1_000);
      expect(started.filter((value) => value !== 4)).toEqual([3, 2, 1]);
    });

    it('enqueues at the commit of the caller, or not at all', async () => {
      const queue = await newQueue();
      const send = (fails: boolean): Promise<string> =>
        one.tables.transaction(async (tx) => {
          const id = await one.jobs.send(queue, { value: 1 }, { tx });
          expect(await two.jobs.status(queue, id)).toBeUndefined();
          if (fails) throw new Error('on purpose');
          return id;
        });
      await expect(send(true)).rejects.toThrow('on purpose');
      const id = await send(false);
      expect(await two.jobs.status(queue, id)).toEqual({ id, state: 'queued', attempt: 0 });
      expect(await two.jobs.backlog(queue)).toMatchObject({ ready: 1 });
    });

    it('tries a failed job again, and gives up after the retries', async () => {
      const queue = await newQueue({ ...QUEUE, retries: 1 });
      const attempts: number[] = [];
      const stop = await one.jobs.work<Payload>(queue, 1, async ({ attempt }) => {
        attempts.push(attempt);
        throw new Error(`no ${attempt}`);
      });
      const id = await two.jobs.send(queue, { value: 1 });
      const failed = await until(async () => {
        const status = await two.jobs.status(queue, id);
        return status?.state === 'failed' ? status : undefined;
      });
      expect(failed).toMatchObject({ id, state: 'failed', attempt: 1, error: 'no 1' });
      expect(attempts).toEqual([0, 1]);
      await two.jobs.retry(queue, id);
      await until(async () => {
        const status = await two.jobs.status(queue, id);
        return status?.state === 'failed' && status.attempt === 2 ? true : undefined;
      });
      expect(attempts).toEqual([0, 1, 2]);
      await stop(1_000);
    });

    it('cancels a waiting job and aborts a running one', async () => {
      const queue = await newQueue();
      const waiting = await one.jobs.send(queue, { value: 1 });
      await two.jobs.cancel(queue, waiting);
      expect(await one.jobs.status(queue, waiting)).toMatchObject({ state: 'cancelled' });
      const started: string[] = [];
      let aborted = false;
      const stop = await one.jobs.work<Payload>(queue, 1, async ({ id, signal }) => {
        started.push(id);
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
        aborted = true;
      });
      const running = await two.jobs.send(queue, { value: 2 });
      await until(() => (started.includes(running) ? true : undefined));
      await two.jobs.cancel(queue, running);
      await until(() => (aborted ? true : undefined));
      expect(await one.jobs.status(queue, running)).toMatchObject({ state: 'cancelled' });
      expect(started).toEqual([running]);
      await stop(1_000);
    });

    it('hands a job that a stopping worker gave up to the next worker', async () => {
      const queue = await newQueue({ ...QUEUE, retries: 0 });
      const started = Promise.withResolvers<void>();
      const stop = await one.jobs.work<Payload>(queue, 1, async ({ signal }) => {
        started.resolve();
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
      });
      const id = await two.jobs.send(queue, { value: 1 });
      await started.promise;
      await stop(0);
      const stopTwo = await two.jobs.work<Payload>(queue, 1, async () => undefined);
      await until(async () => ((await one.jobs.status(queue, id))?.state === 'done' ? true : undefined));
      await stopTwo(1_000);
    });

    it('drains running jobs when it stops', async () => {
      const queue = await newQueue();
      const started = Promise.withResolvers<void>();
      const finish = Promise.withResolvers<void>();
      const stop = await one.jobs.work<Payload>(queue, 1, async () => {
        started.resolve();
        await finish.promise;
      });
      const id = await two.jobs.send(queue, { value: 1 });
      await started.promise;
      const stopped = stop(10_000);
      finish.resolve();
      await stopped;
      expect(await two.jobs.status(queue, id)).toMatchObject({ state: 'done' });
    });

    it('refuses settings that it cannot keep, and knows no job that was not sent', async () => {
      const queue = await newQueue();
      expect(await rejectionCode(one.jobs.createQueue('short', { ...QUEUE, heartbeatSeconds: 5 }))).toBe(
        'CONFIGURATION',
      );
      expect(await rejectionCode(one.jobs.work(queue, 0, async () => undefined))).toBe('CONFIGURATION');
      expect(await one.jobs.status(queue, 'nobody')).toBeUndefined();
    });
  });
}
