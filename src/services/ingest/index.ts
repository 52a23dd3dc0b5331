import { routes } from '../../contract/index.ts';
import type { ServiceDefinition } from '../../runtime/index.ts';
import { type IngestOptions, ingestOptions } from './limits.ts';
import { ingestMigrations } from './migrations.ts';

export type { RecordTarget } from './cells.ts';
export type { IngestOptions } from './limits.ts';
export { openParquet, type ParquetFile } from './parquet.ts';

/** Records in, events in the log or records in quarantine out. */
export const ingest: ServiceDefinition<IngestOptions> = {
  name: 'ingest',
  summary: 'Checks records against the contract of their source, makes them durable and acknowledges them',
  options: ingestOptions,
  migrations: ingestMigrations,
  calls: [routes.getFeaturesStatus],
  start: async (host) => (await import('./start.ts')).start(host),
};
