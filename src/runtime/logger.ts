import { fstatSync, writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { pino } from 'pino';
import { currentScope } from './call.ts';
import type { Logger } from './service.ts';

/** How much is logged. */
export type LogLevel = 'info' | 'warn' | 'error' | 'silent';

export interface LoggerOptions {
  /** Default `info`. */
  readonly level?: LogLevel;
  /** `json`: one object a line. `text`: for people at a terminal. Default `json`. */
  readonly format?: 'json' | 'text';
  /**
   * Where lines go. Default: standard error, written before the call returns, so that a crash loses nothing.
   */
  readonly write?: (line: string) => void;
}

/** A logger that can make others which add facts to every line. */
export interface RootLogger extends Logger {
  with(facts: Readonly<Record<string, unknown>>): RootLogger;
}

/**
 * Facts with these names are never written, whoever passes them: they are what clients send and what opens
 * doors. Nothing else of a request reaches the log but its id, its route and its status.
 */
const WITHHELD: ReadonlySet<string> = new Set(
  (
    'body bodies request record records candidate candidates event events values value text bytes ' +
    'headers authorization cookie password token secret url databaseUrl'
  ).split(' '),
);
const STANDARD_ERROR = 2;
/** How far down the chain of causes an error is written. */
const CAUSES_MAX = 5;

/**
 * Writes lines to standard error. Where that is a file, a line that finds no room on its disk is lost, and no more than that: the
 * stream of Node would be closed for good, and its error ends the process.
 */
function standardError(): (line: string) => void {
  const kind = fstatSync(STANDARD_ERROR);
  if (isatty(STANDARD_ERROR) || kind.isFIFO() || kind.isSocket())
    return (line) => void process.stderr.write(line);
  return (line) => {
    try {
      writeSync(STANDARD_ERROR, line);
    } catch {
      // There is nowhere else to say so; the metrics and the health of the process say how it is.
    }
  };
}

/** Makes the logger of a process, on pino. */
export function createLogger(options: LoggerOptions = {}): RootLogger {
  const write = options.write ?? standardError();
  const stream = { write: options.format === 'text' ? (line: string) => write(toText(line)) : write };
  const base = pino(
    {
      level: options.level ?? 'info',
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      messageKey: 'message',
    },
    stream,
  );
  return wrap(base, {});
}

function wrap(base: pino.Logger, fixed: Readonly<Record<string, unknown>>): RootLogger {
  const line =
    (level: 'info' | 'warn' | 'error') =>
    (message: string, facts?: Readonly<Record<string, unknown>>): void => {
      if (!base.isLevelEnabled(level)) return;
      base[level]({ ...fixed, ...ofScope(), ...clean(facts ?? {}) }, message);
    };
  return {
    info: line('info'),
    warn: line('warn'),
    error: line('error'),
    with: (facts) => wrap(base, { ...fixed, ...clean(facts) }),
  };
}

/** Which request and which trace a line belongs to. */
function ofScope(): { readonly requestId?: string; readonly traceId?: string } {
  const scope = currentScope();
  if (scope === undefined) return {};
  const { requestId, span } = scope;
  return {
    ...(requestId === undefined ? {} : { requestId }),
    ...(span === undefined ? {} : { traceId: span.traceId }),
  };
}

function clean(facts: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(facts)) {
    if (WITHHELD.has(name)) result[name] = '[withheld]';
    else result[name] = isErrorLike(value) ? describeError(value, CAUSES_MAX) : value;
  }
  return result;
}

/** Errors, and the copies of errors that some libraries hand on. */
function isErrorLike(value: unknown): value is Error {
  if (value instanceof Error) return true;
  return typeof value === 'object' && value !== null && 'stack' in value && 'message' in value;
}

/** The parts of an error that are ours to show. Drivers hang data of rows onto theirs (`detail`, `where`). */
function describeError(error: Error, causesMax: number): Record<string, unknown> {
  const { code } = error as { readonly code?: unknown };
  const cause = error.cause;
  return {
    type: error.name,
    ...(typeof code === 'string' ? { code } : {}),
    message: error.message,
    ...(error.stack === undefined ? {} : { stack: error.stack }),
    ...(isErrorLike(cause) && causesMax > 0 ? { cause: describeError(cause, causesMax - 1) } : {}),
  };
}

interface Line {
  readonly level: string;
  readonly time: string;
  readonly message: string;
}

function toText(json: string): string {
  const { level, time, message, ...facts } = JSON.parse(json) as Line & Record<string, unknown>;
  const words = Object.entries(facts).map(([name, value]) => {
    if (typeof value !== 'object' || value === null) return `${name}=${String(value)}`;
    const { message: text, stack } = value as { readonly message?: string; readonly stack?: string };
    if (stack !== undefined && level === 'error') return `\n  ${stack.replaceAll('\n', '\n  ')}`;
    return `${name}=${text ?? JSON.stringify(value)}`;
  });
  const mark = level === 'info' ? '' : `${level}: `;
  return `${time.slice(11, 19)} ${mark}${message}${words.length === 0 ? '' : ` (${words.join(' ')})`}\n`;
}
