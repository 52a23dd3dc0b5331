import { inspect, styleText } from 'node:util';
import { PlatformError, toProblem } from '../contract/index.ts';

/** Colours that words on a terminal may have. */
export type Style = 'red' | 'green' | 'yellow' | 'bold' | 'dim';

/** Where a verb's words go: data to standard output, chatter to standard error. */
export interface Output {
  readonly json: boolean;
  /** Whether somebody watches: standard error is a terminal that can rewrite a line. */
  readonly isWatched: boolean;
  /** Writes the result: `value` as one line of JSON, or else `text`. */
  result(value: unknown, text: () => string): void;
  /** Says something by the way. */
  note(text: string): void;
  /** Shows how far the work is, in the place of what it showed before; only to somebody who watches. */
  progress(text: string): void;
  /** Takes the progress away. */
  endProgress(): void;
  /** A word with a colour for standard output, where colours are wanted. */
  style(style: Style, text: string): string;
}

export interface OutputOptions {
  readonly json: boolean;
  readonly stdout?: NodeJS.WriteStream;
  readonly stderr?: NodeJS.WriteStream;
  readonly environment?: NodeJS.ProcessEnv;
}

const CLEAR_LINE = '\r\u001b[2K';

export function createOutput(options: OutputOptions): Output {
  const { json, stdout = process.stdout, stderr = process.stderr, environment = process.env } = options;
  const isDumb = environment['TERM'] === 'dumb';
  const isWatched = stderr.isTTY && !isDumb && environment['CI'] === undefined;
  const hasColour = stdout.isTTY && !isDumb && (environment['NO_COLOR'] ?? '') === '' && !json;
  let isShown = false;
  const endProgress = (): void => {
    if (isShown) stderr.write(CLEAR_LINE);
    isShown = false;
  };
  return {
    json,
    isWatched,
    result(value, text) {
      endProgress();
      stdout.write(`${json ? JSON.stringify(value) : text()}\n`);
    },
    note(text) {
      endProgress();
      stderr.write(`${text}\n`);
    },
    progress(text) {
      if (!isWatched) return;
      isShown = true;
      stderr.write(CLEAR_LINE + text.slice(0, Math.max(20, (stderr.columns || 80) - 1)));
    },
    endProgress,
    style: (style, text) => (hasColour ? styleText(style, text, { validateStream: false }) : text),
  };
}

/** Rows as columns of equal width; the first row is the head. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return all.map(line).join('\n');
}

/** An instant, in milliseconds UTC, for people. */
export function when(ms: number): string {
  return new Date(ms)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, 'Z');
}

/** A number for people: no more digits than say something. */
export function amount(value: number): string {
  if (Number.isInteger(value)) return value.toLocaleString('en-US');
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en-US') : value.toPrecision(4);
}

/** Exit codes: 0 done, 1 failed, 2 wrong use. */
export const EXIT = { done: 0, failed: 1, wrongUse: 2 } as const;

/** Says what went wrong on standard error, as a problem document with `--json`, and gives the exit code. */
export function reportError(
  error: unknown,
  json: boolean,
  stderr: NodeJS.WriteStream = process.stderr,
): number {
  const isKnown = PlatformError.is(error);
  const code = isKnown && error.code === 'CONFIGURATION' ? EXIT.wrongUse : EXIT.failed;
  if (json) {
    const problem = isKnown ? toProblem(error) : { ...toProblem(error), detail: String(error) };
    stderr.write(`${JSON.stringify(problem)}\n`);
  } else if (isKnown) {
    stderr.write(`tandem: ${error.message} [${error.code}]\n`);
  } else {
    // A mistake of ours or of the app: whoever reads this needs the place.
    stderr.write(`tandem: ${inspect(error)}\n`);
  }
  return code;
}
