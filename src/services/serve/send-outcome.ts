import { PlatformError, routes } from '../../contract/index.ts';
import { BytesBody, type CallOptions, type ServiceHost } from '../../runtime/index.ts';
import { markSent, takeBack, type UnsentOutcome } from './review-store.ts';

/**
 * Sends an outcome through the route of ingest, and notes that it is durable. It has the id of its decision, so that sending it
 * again does no harm.
 *
 * Rejects with what ingest answers; with UNPROCESSABLE when the record is put into quarantine. When it will not be taken the next
 * time either, the review is back in the queue.
 */
export async function sendOutcome(
  host: Pick<ServiceHost, 'call' | 'clock' | 'tables'>,
  outcome: UnsentOutcome,
  options: CallOptions = {},
): Promise<void> {
  const body = new BytesBody('application/json', new TextEncoder().encode(JSON.stringify(outcome.record)));
  const input = { params: { source: outcome.source }, query: { results: 'all' as const }, body };
  try {
    const { results } = await host.call(routes.ingestEvents, input, options);
    const [result] = results;
    if (result?.status === 'quarantined') throw quarantined(outcome, result);
    await markSent(host.tables, outcome, host.clock.now());
  } catch (error) {
    if (PlatformError.is(error) && !error.retryable) await takeBack(host.tables, outcome);
    throw error;
  }
}

function quarantined(
  { source }: UnsentOutcome,
  found: { readonly quarantineId: string; readonly code: string; readonly reason: string },
): PlatformError {
  const { quarantineId, code, reason } = found;
  return new PlatformError(
    'UNPROCESSABLE',
    `The outcome was put into the quarantine of '${source}': ${reason}`,
    { details: { source, quarantineId, code, reason } },
  );
}
