import { describe, expect, it } from 'vitest';
import { PlatformError } from '../../contract/errors.ts';
import type { Compute, ComputeOptions } from '../../runtime/ports/index.ts';
import type { HelpedInput } from './fixtures/helped.ts';
import type { TestInput } from './fixtures/tasks.ts';
import { threadCompute, type ThreadComputeOptions } from './index.ts';

const tasks = new Map([
  ['test', new URL('./fixtures/tasks.ts', import.meta.url)],
  ['helped', new URL('./fixtures/helped.ts', import.meta.url)],
  ['empty', new URL('./task.ts', import.meta.url)],
  ['missing', new URL('./missing.ts', import.meta.url)],
]);

function computeOf(options: Partial<ThreadComputeOptions> = {}): Compute {
  return threadCompute({ tasks, heapMegabytesMax: 24, ...options });
}

function run<TOutput>(compute: Compute, input: TestInput, options?: ComputeOptions): Promise<TOutput> {
  return compute.run<TOutput>('test', input, options);
}

async function failure(work: Promise<unknown>): Promise<PlatformError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!PlatformError.is(error)) throw new Error(`Expected a PlatformError, got ${String(error)}`);
  return error;
}

describe('threadCompute', () => {
  it('runs a task beside this thread and hands buffers over', async () => {
    const values = Float64Array.of(1, 2.5);
    const doubled = await run<Float64Array>(
      computeOf(),
      { what: 'double', values },
      { transfer: [values.buffer] },
    );
    expect(doubled).toEqual(Float64Array.of(2, 5));
    expect(values.length).toBe(0);
  });

  it('reports progress, the last one always, and measures time', async () => {
    const seen: { done: number; total: number; note?: string }[] = [];
    const times = await run<{ cpu: number; wall: number }>(
      computeOf(),
      { what: 'count', to: 5_000 },
      { onProgress: (progress) => seen.push(progress) },
    );
    expect(seen[0]).toEqual({ done: 1, total: 5_000, note: 'counting' });
    expect(seen.at(-1)).toEqual({ done: 5_000, total: 5_000, note: 'counting' });
    expect(seen.length).toBeLessThan(1_000);
    expect(times.cpu).toBeGreaterThan(0);
    expect(times.wall).toBeGreaterThan(0);
  });

  it('passes errors on', async () => {
    const thrown = await failure(run(computeOf(), { what: 'throw' }));
    expect(thrown.code).toBe('INTERNAL');
    const cause = thrown.cause as Error;
    expect(cause).toMatchObject({ name: 'RangeError', message: 'of my own' });
    expect(cause.stack).toContain('tasks.ts');
    expect((cause.cause as Error).message).toBe('underneath');
    const refused = await failure(run(computeOf(), { what: 'refuse' }));
    expect(refused).toMatchObject({ code: 'UNPROCESSABLE', message: 'not these rows', details: { rows: 1 } });
  });

  it('outlives tasks that crash, run out of memory or answer with what cannot be sent', async () => {
    const compute = computeOf();
    expect(((await failure(run(compute, { what: 'crash' }))).cause as Error).message).toContain('code 7');
    expect(((await failure(run(compute, { what: 'exhaust' }))).cause as Error).message).toContain('memory');
    expect(((await failure(run(compute, { what: 'unsendable' }))).cause as Error).message).toContain(
      'could not be cloned',
    );
    expect(await run(compute, { what: 'double', values: Float64Array.of(1) })).toEqual(Float64Array.of(2));
  });

  it('says what is wrong with a task', async () => {
    expect((await failure(computeOf().run('other', {}))).message).toBe(`There is no task 'other'`);
    expect(((await failure(computeOf().run('empty', {}))).cause as Error).message).toContain(
      `exports no function 'run'`,
    );
    expect((await failure(computeOf().run('missing', {}))).code).toBe('INTERNAL');
    await expect(computeOf().run('test', () => undefined)).rejects.toThrow(/could not be cloned/);
  });

  it('ends a task at any instruction when it is aborted', async () => {
    const compute = computeOf();
    const abort = new AbortController();
    const reason = new Error('enough');
    const spinning = run(
      compute,
      { what: 'spin' },
      { signal: abort.signal, onProgress: () => abort.abort(reason) },
    );
    await expect(spinning).rejects.toBe(reason);
    await expect(run(compute, { what: 'spin' }, { signal: abort.signal })).rejects.toBe(reason);
    // The only thread is free again.
    expect(await run(compute, { what: 'double', values: Float64Array.of(1) })).toEqual(Float64Array.of(2));
  });

  it('lets tasks wait, but not too many and not when they are aborted', async () => {
    const compute = computeOf({ waitingMax: 1 });
    const first = new AbortController();
    const second = new AbortController();
    const spinning = run(compute, { what: 'spin' }, { signal: first.signal });
    const waiting = run(compute, { what: 'spin' }, { signal: second.signal });
    expect((await failure(run(compute, { what: 'spin' }))).code).toBe('OVERLOADED');
    second.abort(new Error('second'));
    await expect(waiting).rejects.toThrow('second');
    const third = run(compute, { what: 'double', values: Float64Array.of(1) });
    first.abort(new Error('first'));
    await expect(spinning).rejects.toThrow('first');
    expect(await third).toEqual(Float64Array.of(2));
  });
});

describe('a task with helpers', () => {
  const helped = (input: HelpedInput, count: number, options: ComputeOptions = {}): Promise<unknown> =>
    computeOf().run('helped', input, { ...options, helpers: { task: 'helped', count } });

  it('shares memory with them, and waits for what it has asked of them', async () => {
    expect(await helped({ order: 'add', times: 5 }, 3)).toEqual({
      sum: 15,
      helpers: 3,
      helped: true,
      lost: false,
    });
    expect(await computeOf().run('helped', { order: 'add', times: 1 })).toMatchObject({ sum: 0 });
  });

  it('fails when one of them ends, though it waits for it', async () => {
    const thrown = await failure(helped({ order: 'throw', times: 1 }, 2));
    expect(thrown.code).toBe('INTERNAL');
    expect(thrown.cause).toMatchObject({ name: 'RangeError', message: 'cannot help' });
    const ended = await failure(helped({ order: 'exit', times: 1 }, 1));
    expect((ended.cause as Error).message).toContain('code 3');
    const run = computeOf().run(
      'helped',
      { order: 'add', times: 1 },
      { helpers: { task: 'empty', count: 1 } },
    );
    expect(((await failure(run)).cause as Error).message).toContain(`exports no function 'help'`);
    const missing = { helpers: { task: 'none', count: 1 } };
    expect((await failure(computeOf().run('helped', {}, missing))).message).toBe(`There is no task 'none'`);
  });

  it('ends with them when it is aborted', async () => {
    const abort = new AbortController();
    const spinning = helped({ order: 'spin', times: 1 }, 1, { signal: abort.signal });
    const timer = setTimeout(() => abort.abort(new Error('enough')), 300);
    await expect(spinning).rejects.toThrow('enough');
    clearTimeout(timer);
  });
});
