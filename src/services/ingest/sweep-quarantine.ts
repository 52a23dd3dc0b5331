import type { IngestContext } from './context.ts';
import { dropRefused } from './quarantine.ts';

/** Keeps the quarantine within its limits of age and bytes, until `signal` is aborted. Every replica may do it. */
export async function sweepQuarantine(context: IngestContext, signal: AbortSignal): Promise<void> {
  const { clock, logger } = context.host;
  for (;;) {
    await clock.sleep(context.limits.quarantineSweepMs, signal);
    if (signal.aborted) return;
    try {
      await sweepOnce(context);
    } catch (error) {
      // What is too much stays a little longer.
      logger.warn('The quarantine could not be swept', { error });
    }
  }
}

/** One sweep over all sources. What it drops is gone for good, so it is counted and logged. */
export async function sweepOnce(context: IngestContext): Promise<void> {
  const { host, limits, metrics } = context;
  const bounds = {
    before: host.clock.now() - limits.quarantineAgeMsMax,
    bytesMax: limits.quarantineBytesMax,
  };
  for (const source of context.contracts.keys()) {
    const dropped = await dropRefused(host.tables, source, bounds);
    if (dropped.age + dropped.bytes === 0) continue;
    metrics.dropped.add(dropped.age, { source, limit: 'age' });
    metrics.dropped.add(dropped.bytes, { source, limit: 'bytes' });
    host.logger.warn('Records of the quarantine were dropped for good: its limits are reached', {
      source,
      tooOld: dropped.age,
      tooLarge: dropped.bytes,
    });
  }
}
