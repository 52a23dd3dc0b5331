import { join, resolve } from 'node:path';
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';

/** The options that every example has. */
export interface CommonOptions {
  readonly help: boolean;
  /** A bounded run with a report, instead of one that goes on until Ctrl-C. */
  readonly once: boolean;
  /** File for the report, as JSON. */
  readonly report: string | undefined;
  readonly seed: number;
  /** Port of the product on 127.0.0.1; 0 takes a free one. */
  readonly port: number;
  /** Run each service as this many processes of its own (`tandem up`); undefined: all in one (`tandem dev`). */
  readonly replicas: number | undefined;
  /** Address of a product that runs already; undefined: one is started. */
  readonly url: string | undefined;
  readonly dataDir: string;
  /** Begin with an empty data folder. */
  readonly fresh: boolean;
}

/** Wrong use: the message says which option, what was expected and what came. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Where paths begin. */
export interface Places {
  /** The default data folder lies here. */
  readonly root: string;
  /** Paths on the command line are taken from here. */
  readonly cwd: string;
}

/** What an example adds to the options that all have. */
export interface OwnOptions {
  /** Seed where none is given. */
  readonly seed: number;
  /** Default data folder of a live run, and of one with `--once`, below the root. */
  readonly dataDir: { readonly live: string; readonly once: string };
  /** Names of its own options that take a value. */
  readonly values: readonly string[];
  /** Names of its own options that take no value. */
  readonly flags?: readonly string[];
  /** Which of them, besides `report` and `url`, need `--once`. */
  readonly onlyOnce: readonly string[];
  /** Which of them, besides `replicas` and `port`, are for a product that is started. */
  readonly onlyStarted: readonly string[];
}

export interface ParsedOptions {
  readonly common: CommonOptions;
  /** The text of one of the example's own options; undefined where it is not given. */
  readonly own: (name: string) => string | undefined;
  readonly flag: (name: string) => boolean;
  /** The same as a path; undefined where it is not given. */
  readonly path: (name: string) => string | undefined;
}

const COMMON = {
  help: { type: 'boolean', short: 'h' },
  once: { type: 'boolean' },
  fresh: { type: 'boolean' },
  report: { type: 'string' },
  seed: { type: 'string' },
  port: { type: 'string' },
  replicas: { type: 'string' },
  url: { type: 'string' },
  'data-dir': { type: 'string' },
} as const satisfies ParseArgsOptionsConfig;

/**
 * Reads the arguments.
 *
 * @throws UsageError
 */
export function parseCommon(args: readonly string[], places: Places, own: OwnOptions): ParsedOptions {
  const given = parse(args, own);
  const text = (name: string): string | undefined => {
    const value = given[name];
    return typeof value === 'string' ? value : undefined;
  };
  const path = (name: string): string | undefined => {
    const value = text(name);
    return value === undefined ? undefined : resolve(places.cwd, value);
  };
  const once = given['once'] === true;
  for (const name of ['report', 'url', ...own.onlyOnce]) {
    if (!once && given[name] !== undefined) throw new UsageError(`--${name} needs --once`);
  }
  const url = text('url');
  if (url !== undefined) {
    if (!URL.canParse(url)) throw new UsageError(`--url is an address like http://host:port; got '${url}'`);
    for (const name of ['replicas', 'port', ...own.onlyStarted]) {
      if (given[name] !== undefined)
        throw new UsageError(`--${name} is for a product that is started; with --url none is`);
    }
  }
  const seed = text('seed');
  const replicas = text('replicas');
  const port = text('port');
  return {
    common: {
      help: given['help'] === true,
      once,
      report: path('report'),
      seed: seed === undefined ? own.seed : whole('--seed', seed, [0, Number.MAX_SAFE_INTEGER]),
      replicas: replicas === undefined ? undefined : whole('--replicas', replicas, [1, 16]),
      url: url?.replace(/\/$/, ''),
      port: port === undefined ? 0 : whole('--port', port, [0, 65_535]),
      dataDir: path('data-dir') ?? join(places.root, once ? own.dataDir.once : own.dataDir.live),
      fresh: once || given['fresh'] === true,
    },
    own: text,
    flag: (name) => given[name] === true,
    path,
  };
}

function parse(
  args: readonly string[],
  own: OwnOptions,
): Readonly<Record<string, string | boolean | undefined>> {
  try {
    const options: ParseArgsOptionsConfig = { ...COMMON };
    for (const name of own.values) options[name] = { type: 'string' };
    for (const name of own.flags ?? []) options[name] = { type: 'boolean' };
    const { values } = parseArgs({ args: [...args], strict: true, allowPositionals: false, options });
    return values as Readonly<Record<string, string | boolean | undefined>>;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** A duration like `60s`, in milliseconds. */
export function durationMs(name: string, value: string): number {
  const match = /^(\d{1,6})(ms|s|m|h)$/.exec(value);
  const unit = UNITS_MS[match?.[2] ?? ''];
  if (unit === undefined) throw new UsageError(`${name} is a duration like 60s or 5m; got '${value}'`);
  return Number(match?.[1]) * unit;
}

/** A number from 0 to 1. */
export function share(name: string, value: string): number {
  const number = value.trim() === '' ? Number.NaN : Number(value);
  if (!(number >= 0 && number <= 1)) throw new UsageError(`${name} is a number from 0 to 1; got '${value}'`);
  return number;
}

/** A whole number within bounds, both included. */
export function whole(name: string, value: string, bounds: readonly [low: number, high: number]): number {
  const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
  const [low, high] = bounds;
  if (!(number >= low && number <= high)) {
    throw new UsageError(`${name} is a whole number from ${String(low)} to ${String(high)}; got '${value}'`);
  }
  return number;
}
