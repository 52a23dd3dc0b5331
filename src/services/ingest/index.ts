import { routes } from '../../contract/index.ts';
import {
  handler,
  type Readiness,
  type RunningService,
  type ServiceDefinition,
  type ServiceHost,
} from '../../runtime/index.ts';
import { contractsOf, type IngestContext, limitsOf } from './context.ts';
import { describeSource } from './describe-source.ts';
import { ingestEvents } from './ingest-events.ts';
import { type IngestOptions, ingestOptions } from './limits.ts';
import { listQuarantine } from './list-quarantine.ts';
import { Load } from './load.ts';
import { ingestMigrations } from './migrations.ts';
import { replayQuarantine } from './replay-quarantine.ts';

export type { IngestOptions } from './limits.ts';

/** Records in, events in the log or records in quarantine out. */
export const ingest: ServiceDefinition<IngestOptions> = {
  name: 'ingest',
  summary: 'Checks records against the contract of their source, makes them durable and acknowledges them',
  options: ingestOptions,
  migrations: ingestMigrations,
  calls: [routes.getFeaturesStatus],
  async start(host) {
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
        bytes: metrics.counter('body_bytes_total', 'Bytes of bodies that were read, decompressed', [
          'source',
        ]),
      },
    };
    return run(context);
  },
};

function run(context: IngestContext): RunningService {
  const { host, load } = context;
  const readiness = watchReadiness(context);
  return {
    handlers: [
      handler(routes.ingestEvents, (input, call) => ingestEvents(context, input, call)),
      handler(routes.describeSource, (input) => describeSource(context, input)),
      handler(routes.listQuarantine, (input) => listQuarantine(context, input)),
      handler(routes.replayQuarantine, (input, call) => replayQuarantine(context, input, call)),
    ],
    ready: () =>
      load.stopping ? Promise.resolve({ ready: false, reason: 'The service is stopping' }) : readiness(),
    stop: (graceMs) => load.stop(host.clock, graceMs),
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
