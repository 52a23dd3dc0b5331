import { routes } from '../../contract/index.ts';
import { handler, type Readiness, type RunningService, type ServiceHost } from '../../runtime/index.ts';
import { correctQuarantined, dismissQuarantined } from './close-quarantine.ts';
import { contractsOf, type IngestContext, limitsOf } from './context.ts';
import { describeSource } from './describe-source.ts';
import { ingestEvents } from './ingest-events.ts';
import type { IngestOptions } from './limits.ts';
import { getQuarantined, listQuarantine } from './list-quarantine.ts';
import { Load } from './load.ts';
import { Poll } from './poll.ts';
import { replayQuarantine } from './replay-quarantine.ts';
import { sweepQuarantine } from './sweep-quarantine.ts';

/** Starts the service. */
export async function start(host: ServiceHost<IngestOptions>): Promise<RunningService> {
  const limits = limitsOf(host);
  const contracts = contractsOf(host, limits);
  for (const { topic, partitions } of contracts.values()) await host.log.createTopic(topic, { partitions });
  const { metrics } = host;
  const context: IngestContext = {
    host,
    limits,
    contracts,
    load: new Load(limits, metrics.gauge('requests_in_flight', 'Requests with records that are at work')),
    metrics: {
      accepted: metrics.counter('records_accepted_total', 'Records made durable in the log', ['source']),
      quarantined: metrics.counter('records_quarantined_total', 'Records put into quarantine', [
        'source',
        'code',
      ]),
      dropped: metrics.counter(
        'quarantine_dropped_total',
        'Records that the quarantine let go of because a limit was reached',
        ['source', 'limit'],
      ),
      polled: metrics.counter('poll_rows_total', 'Rows of a polled table that were new', ['source']),
      pollLag: metrics.gauge('poll_lag_seconds', 'How far a polled table was ahead at the last page', [
        'source',
      ]),
      pollFailures: metrics.counter('poll_failures_total', 'Pages of a polled table that failed', [
        'source',
        'code',
      ]),
      bytes: metrics.counter('body_bytes_total', 'Bytes of bodies that were read, decompressed', ['source']),
    },
  };
  return run(context);
}

function run(context: IngestContext): RunningService {
  const { host, load } = context;
  const readiness = watchReadiness(context);
  const background = startBackground(context);
  return {
    handlers: [
      handler(routes.ingestEvents, (input, call) => ingestEvents(context, input, call)),
      handler(routes.describeSource, (input) => describeSource(context, input)),
      handler(routes.listQuarantine, (input) => listQuarantine(context, input)),
      handler(routes.getQuarantined, (input) => getQuarantined(context, input)),
      handler(routes.correctQuarantined, (input, call) => correctQuarantined(context, input, call)),
      handler(routes.dismissQuarantined, (input, call) => dismissQuarantined(context, input, call)),
      handler(routes.replayQuarantine, (input, call) => replayQuarantine(context, input, call)),
    ],
    ready: () =>
      load.stopping ? Promise.resolve({ ready: false, reason: 'The service is stopping' }) : readiness(),
    async stop(graceMs) {
      await Promise.all([load.stop(host.clock, graceMs), background.stop(graceMs)]);
    },
  };
}

/** What goes on beside requests: polling tables, and sweeping the quarantine. */
function startBackground(context: IngestContext): { stop(graceMs: number): Promise<void> } {
  const ended = new AbortController();
  const polls = [...context.contracts.values()].flatMap((contract) => {
    const { poll } = contract.source;
    return poll === undefined ? [] : [new Poll(context, contract, poll)];
  });
  const work = [sweepQuarantine(context, ended.signal), ...polls.map((poll) => poll.run(ended.signal))];
  return {
    async stop(graceMs) {
      ended.abort();
      const waiting = new AbortController();
      const { clock } = context.host;
      await Promise.race([Promise.all(work), clock.sleep(graceMs, waiting.signal)]);
      waiting.abort();
    },
  };
}

/** A log that does not answer is asked again after this, in milliseconds: everybody waits for its return. */
const UNREADY_CACHE_MS = 100;

/** Whether the event log answers, asked at most once in `readyCacheMs` however many ask. */
function watchReadiness(context: IngestContext): () => Promise<Readiness> {
  const { clock } = context.host;
  let asked: { readonly answer: Promise<Readiness>; goodUntil: number } | undefined;
  return () => {
    const now = clock.monotonic();
    if (asked !== undefined && now < asked.goodUntil) return asked.answer;
    const { readyCacheMs } = context.limits;
    const answer = askLog(context.host, context);
    const mine = { answer, goodUntil: now + readyCacheMs };
    asked = mine;
    void answer.then(({ ready }) => {
      if (!ready) mine.goodUntil = Math.min(mine.goodUntil, clock.monotonic() + UNREADY_CACHE_MS);
    });
    return answer;
  };
}

async function askLog(host: ServiceHost<IngestOptions>, context: IngestContext): Promise<Readiness> {
  const { readyTimeoutMs } = context.limits;
  const [contract] = context.contracts.values();
  const ended = new AbortController();
  const late = host.clock.sleep(readyTimeoutMs, ended.signal).then((): Readiness => {
    return { ready: false, reason: `The event log did not answer within ${String(readyTimeoutMs)} ms` };
  });
  const question = contract === undefined ? host.tables.query('select 1') : host.log.ranges(contract.topic);
  const answer = question.then(
    (): Readiness => ({ ready: true }),
    (error: unknown): Readiness => ({
      ready: false,
      reason: `The event log does not answer: ${error instanceof Error ? error.message : String(error)}`,
    }),
  );
  try {
    return await Promise.race([answer, late]);
  } finally {
    ended.abort();
  }
}
