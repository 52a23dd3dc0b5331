import { z } from 'zod';
import { PlatformError, type ServiceName } from '../contract/index.ts';
import {
  type Config,
  type ConfigSection,
  didYouMean,
  httpLimits,
  type HttpLimits,
  type LogLevel,
  readConfig,
  scalingTargets,
  type ScalingTargets,
  type ServiceDefinition,
  traceOptions,
  type TraceOptions,
} from '../runtime/index.ts';
import { features } from '../services/features/index.ts';
import { AUTH, TLS } from './access-settings.ts';
import { gateway } from '../services/gateway/index.ts';
import { ingest } from '../services/ingest/index.ts';
import { registry } from '../services/registry/index.ts';
import { serve } from '../services/serve/index.ts';
import { train } from '../services/train/index.ts';

/** Every service, in the order in which one process starts them. */
export const SERVICES: readonly ServiceDefinition[] = [ingest, features, registry, serve, train, gateway];

/** Options of a process that runs services, whichever they are. */
export interface ProcessOptions {
  /** File of the app. Default: `app.ts` in the current folder, or what stands for it. */
  readonly app?: string | undefined;
  /** Address to listen on; beyond the loopback credentials and TLS are asked for. Default 127.0.0.1. */
  readonly host: string;
  /** Name or address under which other machines reach this process. Default: `host`. */
  readonly advertisedHost?: string | undefined;
  /** Port to listen on. Default: 7717, or the next free one. */
  readonly port?: number | undefined;
  /** Folder of the data. Default `.tandem`. */
  readonly dataDir: string;
  /** The server that verbs speak to. Default: the one that runs on the data directory. */
  readonly url?: string | undefined;
  /** PostgreSQL to use instead of the embedded one; several hosts with commas between them. */
  readonly databaseUrl?: string | undefined;
  /**
   * Bucket for objects instead of a folder of the data directory, with credentials in the standard `AWS_` variables:
   * `s3://bucket/prefix?region=eu-central-1`.
   */
  readonly objectUrl?: string | undefined;
  /** Disk space for local copies of a bucket's objects, in bytes. Default 10 GiB. */
  readonly objectCacheBytesMax: number;
  /** Connections of one process to PostgreSQL. Default 20. */
  readonly databaseConnectionsMax: number;
  /** Memory of one session of the warehouse, in bytes; beyond it it spills to disk. Default 1 GiB. */
  readonly warehouseMemoryBytesMax: number;
  /** Disk space for what one session of the warehouse spills, in bytes. Default 64 GiB. */
  readonly warehouseSpillBytesMax: number;
  /** Threads of one session of the warehouse. Default 2. */
  readonly warehouseThreads: number;
  /** Name that this process has at each of its starts, as `serve-2`: what it owned before is its own at once. Default: none. */
  readonly replica?: string | undefined;
  /** Name of the build that this process runs, for its answers; `tandem deploy` sets it. Default: the version. */
  readonly build?: string | undefined;
  /** How long a process takes at most to stop, in milliseconds. Default 8,000. */
  readonly graceMs: number;
  /** Points of the code at which processes fail on purpose, for chaos runs; refused in production. Default none. */
  readonly failPoints?: string | undefined;
  /** What is logged. Default `warn` for `tandem dev` on a terminal, else `info`. */
  readonly logLevel?: LogLevel | undefined;
}

const processOptions: z.ZodType<ProcessOptions> = z
  .object({
    app: z.string().optional().describe('File of the app'),
    host: z
      .string()
      .default('127.0.0.1')
      .describe('Address to listen on; beyond the loopback credentials and TLS are needed'),
    advertisedHost: z
      .string()
      .regex(/^[a-z0-9.:-]+$/i)
      .optional()
      .describe('Name or address under which other machines reach this process; its host by default'),
    port: z
      .number()
      .int()
      .min(0)
      .max(65_535)
      .optional()
      .describe('Port to listen on; 7717 or the next free one'),
    dataDir: z.string().min(1).default('.tandem').describe('Folder of the data'),
    url: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe('The server that verbs speak to'),
    databaseUrl: z.string().optional().describe('PostgreSQL to use instead of the embedded one'),
    objectUrl: z.string().optional().describe('Bucket for objects, s3://bucket/prefix, instead of a folder'),
    objectCacheBytesMax: z
      .number()
      .int()
      .min(2 ** 20)
      .default(10 * 2 ** 30)
      .describe("Disk space for local copies of a bucket's objects, in bytes"),
    databaseConnectionsMax: z
      .number()
      .int()
      .min(3)
      .max(1_000)
      .default(20)
      .describe('Connections to PostgreSQL'),
    warehouseMemoryBytesMax: z
      .number()
      .int()
      .min(64 * 2 ** 20)
      .default(2 ** 30)
      .describe('Memory of one session of the warehouse, in bytes'),
    warehouseSpillBytesMax: z
      .number()
      .int()
      .min(2 ** 20)
      .default(64 * 2 ** 30)
      .describe('Disk space for what one session of the warehouse spills, in bytes'),
    warehouseThreads: z
      .number()
      .int()
      .min(1)
      .max(256)
      .default(2)
      .describe('Threads of one session of the warehouse'),
    replica: z
      .string()
      .regex(/^[a-z0-9]([a-z0-9.-]{0,126}[a-z0-9])?$/i)
      .optional()
      .describe('Name that this process has at each of its starts, as serve-2'),
    build: z
      .string()
      .regex(/^[\w.+-]{1,64}$/)
      .optional()
      .describe("Name of the build, in its answers; 'tandem deploy' sets it"),
    graceMs: z
      .number()
      .int()
      .min(0)
      .max(600_000)
      .default(8_000)
      .describe('How long stopping may take, in milliseconds'),
    failPoints: z
      .string()
      .optional()
      .describe('Points at which processes fail on purpose, for chaos runs; refused in production'),
    logLevel: z.enum(['info', 'warn', 'error', 'silent']).optional().describe('What is logged'),
  })
  .strict();

export const PROCESS: ConfigSection<ProcessOptions> = {
  name: 'process',
  prefix: 'TANDEM_',
  schema: processOptions,
  variables: { databaseUrl: 'DATABASE_URL', objectUrl: 'OBJECT_URL' },
  secrets: ['databaseUrl'],
};

export const TRACE: ConfigSection<TraceOptions> = {
  name: 'trace',
  prefix: 'TANDEM_TRACE_',
  schema: traceOptions,
  variables: {
    ratio: 'OTEL_TRACES_SAMPLER_ARG',
    endpoint: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    serviceName: 'OTEL_SERVICE_NAME',
  },
};

export const HTTP: ConfigSection<HttpLimits> = { name: 'http', prefix: 'TANDEM_HTTP_', schema: httpLimits };

export const SCALING: ConfigSection<ScalingTargets> = {
  name: 'scaling',
  prefix: 'TANDEM_SCALING_',
  schema: scalingTargets,
};

function serviceSection(definition: ServiceDefinition): ConfigSection {
  return {
    name: definition.name,
    prefix: `TANDEM_${definition.name.toUpperCase()}_`,
    schema: definition.options,
  };
}

const SERVICE_SECTIONS: ReadonlyMap<ServiceName, ConfigSection> = new Map(
  SERVICES.map((definition) => [definition.name, serviceSection(definition)]),
);

/** Flags by section and option. */
export type Flags = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/**
 * Reads the whole configuration, also of services that this process does not run: their names are known all
 * the same.
 */
export function readSettings(flags: Flags, environment: NodeJS.ProcessEnv = process.env): Config {
  return readConfig([PROCESS, HTTP, SCALING, TRACE, AUTH, TLS, ...SERVICE_SECTIONS.values()], {
    flags,
    environment,
  });
}

/** The options of each service. */
export function serviceOptions(config: Config): ReadonlyMap<ServiceName, unknown> {
  return new Map([...SERVICE_SECTIONS].map(([name, section]) => [name, config.section(section)]));
}

/** Finds a service by name. Throws CONFIGURATION. */
export function findService(name: string): ServiceDefinition {
  const found = SERVICES.find((definition) => definition.name === name);
  if (found !== undefined) return found;
  const names = SERVICES.map((definition) => definition.name);
  throw new PlatformError(
    'CONFIGURATION',
    `service: expected ${names.join(', ')}, got '${name}'.${didYouMean(name, names)}`,
  );
}

/**
 * Flags of single options: `--set features.clock=event`. `clock` is for every service that has such an
 * option. Throws CONFIGURATION when one is not of the form `section.option=value`.
 */
export function settingFlags(
  settings: readonly string[],
  common: Readonly<Record<string, unknown>>,
  clock: string | undefined,
): Flags {
  const flags: Record<string, Record<string, unknown>> = { process: { ...common } };
  if (clock !== undefined) {
    for (const name of servicesWithOption('clock')) flags[name] = { clock };
  }
  for (const setting of settings) {
    const parts = /^(\w+)\.(\w+)=(.*)$/s.exec(setting);
    const [, section = '', option = '', value = ''] = parts ?? [];
    if (parts === null) {
      throw new PlatformError('CONFIGURATION', `--set: expected SERVICE.OPTION=VALUE, got '${setting}'`);
    }
    flags[section] = { ...flags[section], [option]: value };
  }
  return flags;
}

function servicesWithOption(option: string): ServiceName[] {
  return SERVICES.filter((definition) => {
    const { shape } = definition.options as { readonly shape?: Readonly<Record<string, unknown>> };
    return shape !== undefined && Object.hasOwn(shape, option);
  }).map(({ name }) => name);
}
