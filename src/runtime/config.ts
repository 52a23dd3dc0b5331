import type { z } from 'zod';
import { PlatformError } from '../contract/index.ts';
import { didYouMean } from './nearest.ts';

/** Options that belong together: those of a service, of the HTTP server, of the process. */
export interface ConfigSection<TOptions = unknown> {
  /** How flags and `tandem config` name it. */
  readonly name: string;
  /** What its environment variables begin with, e.g. `TANDEM_INGEST_`. */
  readonly prefix: string;
  readonly schema: z.ZodType<TOptions>;
  /** Variables with a name of their own, by option: `{ databaseUrl: 'DATABASE_URL' }`. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Options whose values `tandem config` does not show. */
  readonly secrets?: readonly string[];
}

/** Where values come from, the stronger first. */
export interface ConfigOrigins {
  /** By section and option; texts are read like environment variables. */
  readonly flags?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** One effective value. */
export interface ConfigEntry {
  readonly section: string;
  readonly option: string;
  readonly value: unknown;
  readonly origin: 'flag' | 'environment' | 'default';
  /** The environment variable that sets it. */
  readonly variable: string;
  /** What the option is for, from its schema. */
  readonly description: string;
}

/** The effective configuration of a process, frozen. */
export interface Config {
  /** Every option in order; secrets are masked. */
  readonly entries: readonly ConfigEntry[];
  /** The options of a section, as its schema made them. */
  section<TOptions>(section: ConfigSection<TOptions>): TOptions;
}

const PREFIX = 'TANDEM_';

/**
 * Reads the configuration: flags over environment over the defaults of the schemas. Throws CONFIGURATION on a
 * value that does not fit, and on every `TANDEM_` variable or flag that no section knows, naming the nearest
 * that one does.
 */
export function readConfig(sections: readonly ConfigSection[], origins: ConfigOrigins): Config {
  const options = sections.map((section) => ({ section, options: describeOptions(section) }));
  refuseUnknown(
    options.flatMap((item) => item.options),
    origins,
  );
  const sectionsRead = new Map<string, SectionRead>();
  for (const item of options) {
    const read = readSection(item.section, item.options, origins);
    // Defaults are right: they wait until somebody asks, since a process asks for those of few services.
    if (read.given.size > 0) read.parsed();
    sectionsRead.set(item.section.name, read);
  }
  return {
    get entries() {
      return Object.freeze([...sectionsRead.values()].flatMap(entriesOf));
    },
    section: <TOptions>(section: ConfigSection<TOptions>) => {
      const read = sectionsRead.get(section.name);
      if (read === undefined) throw new TypeError(`Configuration section ${section.name} was not read`);
      return read.parsed() as TOptions;
    },
  };
}

interface SectionRead {
  readonly section: ConfigSection;
  readonly options: readonly OptionShape[];
  readonly given: ReadonlyMap<string, Given>;
  /** Throws CONFIGURATION. */
  readonly parsed: () => unknown;
}

function readSection(
  section: ConfigSection,
  options: readonly OptionShape[],
  origins: ConfigOrigins,
): SectionRead {
  const given = new Map(options.flatMap((option) => find(option, origins) ?? []));
  let data: unknown;
  const parsed = (): unknown => {
    if (data !== undefined) return data;
    const raw = Object.fromEntries([...given].map(([name, { value }]) => [name, value]));
    const result = section.schema.safeParse(raw);
    if (!result.success) throw wrongValue(options, given, result.error);
    data = Object.freeze(result.data);
    return data;
  };
  return { section, options, given, parsed };
}

function entriesOf({ section, options, given, parsed }: SectionRead): ConfigEntry[] {
  return options.map((option) => entryOf(option, given, section, parsed()));
}

/**
 * The environment variable of an option: `TANDEM_INGEST_` and `queuedBytesMax` give
 * `TANDEM_INGEST_QUEUED_BYTES_MAX`.
 */
export function variableName(prefix: string, option: string): string {
  return prefix + option.replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase();
}

interface OptionShape {
  readonly section: string;
  readonly name: string;
  readonly variable: string;
  /** Type of the schema, which tells how a text is to be read. */
  readonly type: string;
  readonly description: string;
}

interface Given {
  readonly value: unknown;
  readonly origin: 'flag' | 'environment';
}

/** Reads the schema itself: a JSON Schema of each section would cost every process 20 ms of its start. */
function describeOptions(section: ConfigSection): OptionShape[] {
  const { shape } = section.schema as { readonly shape?: Readonly<Record<string, z.ZodType>> };
  return Object.entries(shape ?? {}).map(([name, schema]) => ({
    section: section.name,
    name,
    variable: section.variables?.[name] ?? variableName(section.prefix, name),
    ...describeOption(schema),
  }));
}

/** Type and description of an option, which may stand behind a default or an `optional`. */
function describeOption(schema: z.ZodType): Pick<OptionShape, 'type' | 'description'> {
  const def = schema.def as { readonly type: string; readonly innerType?: z.ZodType };
  const inner = def.innerType === undefined ? undefined : describeOption(def.innerType);
  return {
    type: inner === undefined ? def.type : inner.type,
    description: schema.description ?? inner?.description ?? '',
  };
}

function refuseUnknown(options: readonly OptionShape[], origins: ConfigOrigins): void {
  const variables = new Set(options.map((option) => option.variable));
  for (const name of Object.keys(origins.environment)) {
    if (!name.startsWith(PREFIX) || variables.has(name)) continue;
    throw new PlatformError(
      'CONFIGURATION',
      `The environment variable ${name} is not known.${didYouMean(name, variables)} 'tandem config' lists them all.`,
      { details: { variable: name } },
    );
  }
  const flags = new Set(options.map((option) => `${option.section}.${option.name}`));
  for (const [section, values] of Object.entries(origins.flags ?? {})) {
    for (const [option, value] of Object.entries(values)) {
      const name = `${section}.${option}`;
      if (value === undefined || flags.has(name)) continue;
      throw new PlatformError('CONFIGURATION', `The option ${name} is not known.${didYouMean(name, flags)}`, {
        details: { option: name },
      });
    }
  }
}

function find(option: OptionShape, origins: ConfigOrigins): [[string, Given]] | undefined {
  const flag = origins.flags?.[option.section]?.[option.name];
  if (flag !== undefined) return [[option.name, { value: readText(flag, option.type), origin: 'flag' }]];
  const text = origins.environment[option.variable];
  // A variable that is set to nothing counts as not set: scripts and compose files cannot do otherwise.
  if (text === undefined || text === '') return undefined;
  return [[option.name, { value: readText(text, option.type), origin: 'environment' }]];
}

/**
 * Reads a text as what the option's type asks for. A text that does not fit stays: the schema then says what
 * is wrong.
 */
function readText(value: unknown, type: string): unknown {
  if (typeof value !== 'string') return value;
  const text = value.trim();
  switch (type) {
    case 'number':
      return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : value;
    case 'boolean':
      if (['true', '1', 'yes', 'on'].includes(text.toLowerCase())) return true;
      return ['false', '0', 'no', 'off'].includes(text.toLowerCase()) ? false : value;
    case 'array':
      return text
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== '');
    case 'object':
    case 'record':
      try {
        return JSON.parse(text) as unknown;
      } catch {
        return value;
      }
    default:
      return value;
  }
}

function wrongValue(
  options: readonly OptionShape[],
  given: ReadonlyMap<string, Given>,
  error: z.ZodError,
): PlatformError {
  const texts = error.issues.map((issue) => {
    const option = options.find(({ name }) => name === issue.path[0]);
    if (option === undefined) return issue.message;
    const origin = given.get(option.name)?.origin;
    const name = origin === 'environment' ? option.variable : `${option.section}.${option.name}`;
    return `${name}: ${issue.message.replace(/^Invalid input: /, '')}`;
  });
  return new PlatformError('CONFIGURATION', texts.join('; '), { details: { issues: texts } });
}

function entryOf(
  option: OptionShape,
  given: ReadonlyMap<string, Given>,
  section: ConfigSection,
  parsed: unknown,
): ConfigEntry {
  const value = (parsed as Readonly<Record<string, unknown>>)[option.name];
  const secret = section.secrets?.includes(option.name) === true && value !== undefined;
  return {
    section: option.section,
    option: option.name,
    value: secret ? '********' : value,
    origin: given.get(option.name)?.origin ?? 'default',
    variable: option.variable,
    description: option.description,
  };
}
