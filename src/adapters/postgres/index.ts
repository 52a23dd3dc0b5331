export {
  type EmbeddedOptions,
  type EmbeddedServer,
  removeEmbedded,
  startEmbedded,
} from './embedded/index.ts';
export { schemaSteps } from './schema-steps.ts';
export { lookAtServers, type Sight } from './look.ts';
export { postgresOutsideTables } from './outside-tables.ts';
export { openPostgres, type Postgres, type PostgresOptions } from './pool.ts';
