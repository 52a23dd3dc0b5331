import { setTimeout as sleep } from 'node:timers/promises';
import { routes, type Run } from '../../../src/contract/index.ts';
import { SeededRandom } from '../../../src/ml/random.ts';
import type { Requests } from './requests.ts';

const HOUR_MS = 3_600_000;
/** Orders of the history: enough for the model's gate. */
const ORDERS = 2_000;
/** The history ends this long ago, so that no window of a day sees any of it. */
const END_MS_AGO = 25 * HOUR_MS;
/** And begins this long ago. */
const BEGIN_MS_AGO = 7 * 24 * HOUR_MS;
/** How long a run may take, in milliseconds. */
const RUN_MS_MAX = 180_000;
const POLL_MS = 100;

/** Sends a made-up history of orders, of which risky ones come back more often. */
export async function sendHistory(requests: Requests, seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  const now = Date.now();
  const orders = Array.from({ length: ORDERS }, (_, index) => ({
    orderId: `past-${String(index)}`,
    at: now - END_MS_AGO - Math.floor(random.uniform() * (BEGIN_MS_AGO - END_MS_AGO)),
    customerId: `past-${String(random.integer(50))}`,
    serial: index,
    risk: random.uniform(),
  }));
  const returns = orders
    .filter(({ risk }) => random.uniform() < risk * risk)
    .map(({ orderId, at }) => ({ returnId: `back-${orderId}`, at: at + HOUR_MS / 2, orderId }));
  for (const [source, records] of Object.entries({ orders, returns })) {
    const body = records as unknown as Record<string, unknown>;
    const result = await requests.call(routes.ingestEvents, {
      params: { source },
      query: { results: 'quarantined' },
      body,
    });
    if (result.accepted !== records.length)
      throw new Error(`${source}: ${JSON.stringify(result).slice(0, 300)}`);
  }
}

/** Starts a run of the fixture's model; the same key is the same run. */
export async function startRun(requests: Requests, idempotencyKey: string): Promise<Run> {
  return requests.call(routes.startRun, { params: { model: 'returning' }, body: { idempotencyKey } });
}

/** Waits for the end of a run. Throws when it is not done. */
export async function finishRun(requests: Requests, id: string, withinMs = RUN_MS_MAX): Promise<Run> {
  for (const end = performance.now() + withinMs; ; await sleep(POLL_MS)) {
    const run = await requests.call(routes.getRun, { params: { id } });
    if (run.state === 'done') return run;
    if (run.state !== 'queued' && run.state !== 'running') {
      throw new Error(`Run ${id} is ${run.state}: ${run.error ?? 'no reason was given'}`);
    }
    if (performance.now() > end)
      throw new Error(`Run ${id} is still ${run.state}: ${JSON.stringify(run.steps)}`);
  }
}

/** Puts a version in charge of both decisions. A repeated call with the same key changes nothing. */
export async function release(
  requests: Requests,
  version: number,
  key: string,
  patienceMs = 60_000,
): Promise<void> {
  for (const decision of ['accept', 'suggest']) {
    const idempotencyKey = `${key}-${decision}`;
    await requests.call(routes.createRelease, { body: { decision, version, idempotencyKey } }, patienceMs);
  }
}

/** History, a run, a release of both decisions; resolves with the version when decisions are answered by it. */
export async function prepareReleases(requests: Requests, seed: number): Promise<number> {
  await sendHistory(requests, seed);
  const run = await finishRun(requests, (await startRun(requests, `first-${String(seed)}`)).id);
  if (run.version === null) throw new Error(`The run made no version: ${JSON.stringify(run.gates)}`);
  await release(requests, run.version, `first-${String(seed)}`);
  for (const decision of ['accept', 'suggest']) {
    const body = { orderId: 'ask', at: Date.now(), customerId: 'past-0', serial: 0, risk: 0.5 };
    // NO_RELEASE until it is loaded, which the client sits out.
    for (let times = 0; times < 4; times += 1) {
      await requests.call(routes.decide, { params: { decision }, body });
    }
  }
  return run.version;
}
