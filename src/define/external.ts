import { type Duration, durationMs } from './duration.ts';
import { canonicalJson } from './hash.ts';

/** Anything that JSON holds. */
export type ParameterValue =
  | string
  | number
  | boolean
  | null
  | readonly ParameterValue[]
  | { readonly [name: string]: ParameterValue };

/** A command that trains outside of this platform: it reads rows from files and writes an ONNX model. */
export interface ExternalTrainer {
  readonly kind: 'external';
  /** The program and its arguments; no shell reads them. */
  readonly command: readonly string[];
  /** The command is ended after this time, in milliseconds. */
  readonly timeoutMs: number;
  /** Memory of the command with all its processes, in MiB. */
  readonly memoryMiB: number;
  /** What the command is told beside its rows. */
  readonly parameters: Readonly<Record<string, ParameterValue>>;
  /** Files and folders beside the app that the command needs and does not name. */
  readonly files: readonly string[];
  /**
   * Digest by path of each file beside the app that belongs to the command. Filled in where the app is loaded, so that a
   * changed script is another model.
   */
  readonly digests: Readonly<Record<string, string>>;
}

export interface ExternalTrainerOptions {
  /**
   * The program and its arguments, 1 to 64. A program without a slash is looked up on PATH, one with a slash lies beside
   * the app. Arguments that name files beside the app are copied to where the command runs.
   */
  readonly command: readonly string[];
  /** From 1 second to 1 day. Default `'1h'`. */
  readonly timeout?: Duration;
  /** From 64 to 1,048,576. Default 2048. */
  readonly memoryMiB?: number;
  /** JSON of up to 64 KiB. Default none. */
  readonly parameters?: Readonly<Record<string, ParameterValue>>;
  /** Files and folders that the command needs and does not name, by paths relative to the app. Default none. */
  readonly files?: readonly string[];
}

/** Limits of {@link external}, each with its unit. */
export const EXTERNAL_LIMITS = {
  wordsMax: 64,
  wordLengthMax: 4_096,
  timeoutMsMin: 1_000,
  timeoutMsMax: 86_400_000,
  memoryMiBMin: 64,
  memoryMiBMax: 1_048_576,
  parametersBytesMax: 65_536,
  pathsMax: 64,
} as const;

/**
 * A command that trains, in any language. Throws TypeError when an option is out of its bounds.
 *
 * @example
 *   external({ command: ['python3', 'train.py'], timeout: '30m', parameters: { rounds: 200 } });
 */
export function external(options: ExternalTrainerOptions): ExternalTrainer {
  const limits = EXTERNAL_LIMITS;
  assertCommand(options.command);
  const timeoutMs = durationMs(options.timeout ?? '1h');
  assertWithin('timeout in milliseconds', timeoutMs, [limits.timeoutMsMin, limits.timeoutMsMax]);
  const memoryMiB = options.memoryMiB ?? 2_048;
  assertWithin('memoryMiB', memoryMiB, [limits.memoryMiBMin, limits.memoryMiBMax]);
  const files = options.files ?? [];
  assertPaths(files);
  return {
    kind: 'external',
    command: [...options.command],
    timeoutMs,
    memoryMiB,
    parameters: copied(options.parameters ?? {}),
    files: [...files],
    digests: {},
  };
}

function assertCommand(command: readonly string[]): void {
  const { wordsMax, wordLengthMax } = EXTERNAL_LIMITS;
  if (!Array.isArray(command) || command.length < 1 || command.length > wordsMax) {
    throw new TypeError(`external(): command is a list of 1 to ${String(wordsMax)} words`);
  }
  for (const [index, word] of command.entries()) {
    const isText = typeof word === 'string' && word.isWellFormed() && !word.includes('\0');
    if (isText && word.length <= wordLengthMax && (index > 0 || word.trim() !== '')) continue;
    throw new TypeError(
      `external(): word ${String(index + 1)} of the command is text of up to ${String(wordLengthMax)} characters ` +
        `without NUL${index === 0 ? ', and not empty' : ''}`,
    );
  }
}

function assertWithin(name: string, value: number, [low, high]: readonly [number, number]): void {
  if (Number.isSafeInteger(value) && value >= low && value <= high) return;
  throw new TypeError(
    `external(): ${name} is a whole number from ${String(low)} to ${String(high)}; got ${String(value)}`,
  );
}

function assertPaths(paths: readonly string[]): void {
  const { pathsMax } = EXTERNAL_LIMITS;
  if (!Array.isArray(paths) || paths.length > pathsMax) {
    throw new TypeError(`external(): files is a list of up to ${String(pathsMax)} paths`);
  }
  for (const path of paths) {
    const isBelow =
      typeof path === 'string' &&
      path !== '' &&
      !path.includes('\0') &&
      !path.startsWith('/') &&
      !path.split(/[/\\]/).includes('..');
    if (!isBelow) {
      throw new TypeError(`external(): files are paths below the folder of the app; got ${String(path)}`);
    }
  }
}

/** The parameters as JSON gives them back: nobody changes them later, and what JSON cannot hold is refused. */
function copied(parameters: Readonly<Record<string, ParameterValue>>): Record<string, ParameterValue> {
  const { parametersBytesMax } = EXTERNAL_LIMITS;
  if (typeof parameters !== 'object' || Array.isArray(parameters)) {
    throw new TypeError('external(): parameters is an object');
  }
  assertJson(parameters, 'parameters', 0);
  const text = canonicalJson(parameters);
  const bytes = new TextEncoder().encode(text).length;
  if (bytes > parametersBytesMax) {
    throw new TypeError(
      `external(): parameters are at most ${String(parametersBytesMax)} bytes of JSON; got ${String(bytes)}`,
    );
  }
  return JSON.parse(text) as Record<string, ParameterValue>;
}

const PARAMETERS_DEPTH_MAX = 16;

function assertJson(value: unknown, path: string, depth: number): void {
  if (depth > PARAMETERS_DEPTH_MAX) throw new TypeError(`external(): ${path} is nested too deeply`);
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return;
  if (typeof value === 'number' && Number.isFinite(value)) return;
  const isPlain =
    typeof value === 'object' &&
    (Array.isArray(value) ||
      [Object.prototype, null].includes(Object.getPrototypeOf(value) as object | null));
  if (!isPlain) throw new TypeError(`external(): ${path} cannot be written as JSON; got a ${typeof value}`);
  for (const [name, item] of Object.entries(value as object)) assertJson(item, `${path}.${name}`, depth + 1);
}
