import { open } from 'node:fs/promises';

/** Bytes of the end of a log in which the reason of an end is looked for: 64 KiB. */
const READ_BYTES_MAX = 65_536;
/** Characters of a reason; the whole of it is in the log. */
const CHARACTERS_MAX = 300;
/** Whatever a process logged longer than this before its last line is not why it ended, in milliseconds. */
const RECENT_MS = 10_000;

/** What Node.js itself writes before it ends a process. */
const FATAL = /^(?:FATAL ERROR: |(?:Uncaught )?\w*Error(?: \[\w+\])?: )/;
/** What a process logs once it runs: what stands before it another one wrote. */
const STARTED = 'Started';

/**
 * The last error that a process wrote into its log, in words with its code; `undefined` when it wrote none lately, as one
 * that was killed. `from` is where in the file its part begins, in bytes.
 */
export async function lastError(path: string, from: number): Promise<string | undefined> {
  const lines = (await readEnd(path, from)).split('\n').reverse();
  let newestMs: number | undefined;
  for (const line of lines) {
    const entry = parse(line);
    if (entry === undefined) {
      if (FATAL.test(line)) return clip(line);
      continue;
    }
    const atMs = typeof entry['time'] === 'string' ? Date.parse(entry['time']) : Number.NaN;
    if (Number.isFinite(atMs)) {
      newestMs ??= atMs;
      if (newestMs - atMs > RECENT_MS) return undefined;
    }
    const text = describe(entry);
    if (text !== undefined) return clip(text);
    if (entry['message'] === STARTED) return undefined;
  }
  return undefined;
}

async function readEnd(path: string, from: number): Promise<string> {
  const file = await open(path, 'r').catch(() => undefined);
  if (file === undefined) return '';
  try {
    const { size } = await file.stat();
    const begin = Math.max(Math.min(from, size), size - READ_BYTES_MAX);
    const buffer = Buffer.alloc(size - begin);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, begin);
    return buffer.toString('utf8', 0, bytesRead);
  } catch {
    return '';
  } finally {
    await file.close();
  }
}

type Entry = Readonly<Record<string, unknown>>;

function parse(line: string): Entry | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Entry) : undefined;
  } catch {
    return undefined;
  }
}

/** A line of the log that tells of an error, or the problem with which a verb ends. */
function describe(entry: Entry): string | undefined {
  const { level, message, error, code, detail } = entry;
  if (typeof code === 'string' && typeof detail === 'string') return `${detail} [${code}]`;
  if (level !== 'error' || typeof message !== 'string') return undefined;
  if (typeof error !== 'object' || error === null) return message;
  const { message: text, code: of } = error as Entry;
  const cause = typeof text === 'string' ? `: ${text}` : '';
  return `${message}${cause}${typeof of === 'string' ? ` [${of}]` : ''}`;
}

function clip(text: string): string {
  return text.length <= CHARACTERS_MAX ? text : `${text.slice(0, CHARACTERS_MAX)}...`;
}
