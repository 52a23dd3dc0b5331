import { setTimeout as sleep } from 'node:timers/promises';
import { PlatformError } from '../../src/contract/errors.ts';

/** The code with which a promise rejects; `undefined` when it resolves. Any other error is passed on. */
export async function rejectionCode(promise: Promise<unknown>): Promise<string | undefined> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    if (PlatformError.is(error)) return error.code;
    throw error;
  }
}

/** Asks again every few milliseconds until there is an answer; gives up after 15 s. */
export async function until<TResult>(
  ask: () => Promise<TResult | undefined> | TResult | undefined,
): Promise<TResult> {
  const deadline = performance.now() + 15_000;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > deadline) throw new Error('What was waited for did not happen within 15 s');
    await sleep(10);
  }
}
