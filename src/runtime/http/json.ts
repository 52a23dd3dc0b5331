import { isUtf8 } from 'node:buffer';
import { PlatformError } from '../../contract/index.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACE = 0x7d;
const CLOSE_BRACKET = 0x5d;

/**
 * Parses the bytes of a JSON body. They must be valid UTF-8 and not nested deeper than `depthMax`; the depth
 * is counted before anything is parsed, so that a hostile body costs one pass over its bytes and no stack.
 * Keys named `__proto__` are refused. Throws BAD_REQUEST; its text repeats nothing of the body.
 */
export function parseJson(bytes: Buffer, depthMax: number): unknown {
  if (!isUtf8(bytes)) throw new PlatformError('BAD_REQUEST', 'body: expected UTF-8, got bytes that are not');
  if (isDeeperThan(bytes, depthMax)) {
    throw new PlatformError(
      'BAD_REQUEST',
      `body: expected JSON nested at most ${String(depthMax)} deep, got more`,
      {
        details: { depthMax },
      },
    );
  }
  if (bytes.includes('"__proto__"')) {
    throw new PlatformError('BAD_REQUEST', "body: a field must not be named '__proto__'");
  }
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown;
  } catch (error) {
    throw new PlatformError('BAD_REQUEST', `body: expected JSON, got something else${position(error)}`);
  }
}

function isDeeperThan(bytes: Uint8Array, depthMax: number): boolean {
  let depth = 0;
  let inText = false;
  for (let index = 0; index < bytes.length; index += 1) {
    const byte = bytes[index];
    if (inText) {
      if (byte === BACKSLASH) index += 1;
      else if (byte === QUOTE) inText = false;
    } else if (byte === QUOTE) {
      inText = true;
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      depth += 1;
      if (depth > depthMax) return true;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      depth -= 1;
    }
  }
  return false;
}

/**
 * Where the parser stopped. The rest of its message quotes the body, which must reach neither logs nor
 * traces.
 */
function position(error: unknown): string {
  if (!(error instanceof SyntaxError)) return '';
  const found = /at position (\d+)/.exec(error.message)?.[1];
  if (found !== undefined) return ` at byte ${found}`;
  return /end of JSON/.test(error.message) ? ': it ends too early' : '';
}
