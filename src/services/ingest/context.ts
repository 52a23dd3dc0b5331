import { PlatformError } from '../../contract/index.ts';
import type { Counter, Gauge, ServiceHost } from '../../runtime/index.ts';
import type { IngestOptions } from './limits.ts';
import type { Load } from './load.ts';
import { compileContract, type SourceContract } from './record.ts';

export interface IngestMetrics {
  readonly accepted: Counter;
  readonly quarantined: Counter;
  readonly bytes: Counter;
  /** Records that the quarantine let go of. */
  readonly dropped: Counter;
  readonly polled: Counter;
  readonly pollLag: Gauge;
  readonly pollFailures: Counter;
}

/** What the handlers share. */
export interface IngestContext {
  readonly host: ServiceHost<IngestOptions>;
  /** The options, with limits of the event log where those are lower. */
  readonly limits: IngestOptions;
  readonly contracts: ReadonlyMap<string, SourceContract>;
  readonly load: Load;
  readonly metrics: IngestMetrics;
}

/** The options, made to fit what the event log takes. */
export function limitsOf(host: ServiceHost<IngestOptions>): IngestOptions {
  const { options, log } = host;
  return {
    ...options,
    recordBytesMax: Math.min(options.recordBytesMax, log.limits.recordBytesMax),
    batchRecordsMax: Math.min(options.batchRecordsMax, log.limits.appendRecordsMax),
  };
}

/** The contracts of all sources of the app, by name. */
export function contractsOf(
  host: ServiceHost<IngestOptions>,
  limits: IngestOptions,
): Map<string, SourceContract> {
  return new Map([...host.app.sources].map(([name, source]) => [name, compileContract(source, limits)]));
}

/** The contract of the source. Throws SOURCE_NOT_FOUND, naming the sources there are. */
export function findContract(context: IngestContext, source: string): SourceContract {
  const contract = context.contracts.get(source);
  if (contract !== undefined) return contract;
  throw new PlatformError(
    'SOURCE_NOT_FOUND',
    `The app '${context.host.app.name}' defines no source '${source}'`,
    {
      details: { source, sources: [...context.contracts.keys()] },
    },
  );
}
