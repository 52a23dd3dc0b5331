import { get as getHttp, type IncomingMessage } from 'node:http';
import { get as getHttps } from 'node:https';
import { text as readText } from 'node:stream/consumers';
import type { TlsPeers } from '../runtime/http/index.ts';

/** What a server is shown, and what it must show. */
export interface Shown {
  /** API key or token. Default: none. */
  readonly key?: string | undefined;
  /** What a server must show that speaks TLS. */
  readonly peers?: TlsPeers | undefined;
}

export interface AskOptions extends Shown {
  /**
   * The server is a process that this one started, at an address that its certificate need not name. It is told no secret, so
   * that its certificate is not looked at.
   */
  readonly isOwnProcess?: boolean;
  readonly signal: AbortSignal;
}

/** What a server answered to a GET. */
export interface Asked {
  readonly ok: boolean;
  readonly status: number;
  readonly text: string;
  /** The body when it is JSON. */
  readonly content: unknown;
}

/**
 * Asks a server once, on a connection of its own. Rejects when there is no answer. By what the runtime has: the first thing
 * that a supervisor does after a crash is to start everything else, and a library for it is loaded before that.
 */
export async function ask(url: URL, { key, peers, isOwnProcess, signal }: AskOptions): Promise<Asked> {
  const unchecked = isOwnProcess === true && key === undefined ? { rejectUnauthorized: false } : {};
  const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
  const options = { agent: false, signal, headers, ...peers, ...unchecked } as const;
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const asked = url.protocol === 'http:' ? getHttp(url, options, resolve) : getHttps(url, options, resolve);
    asked.once('error', reject);
  });
  const text = await readText(response);
  const status = response.statusCode ?? 0;
  return { ok: status === 200, status, text, content: parse(text) };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
