export {
  type EmbeddedOptions,
  type EmbeddedServer,
  removeEmbedded,
  startEmbedded,
} from './embedded/index.ts';
export { openPostgres, type Postgres, type PostgresOptions } from './pool.ts';
