import { Agent, request } from 'undici';
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

/** Asks a server once. Rejects when there is no answer. */
export async function ask(url: URL, options: AskOptions): Promise<Asked> {
  if (url.protocol === 'http:') return askThrough(undefined, url, options);
  const { key, peers, isOwnProcess } = options;
  const unchecked = isOwnProcess === true && key === undefined ? { rejectUnauthorized: false } : {};
  const agent = new Agent({ connect: { ...peers, ...unchecked } });
  try {
    return await askThrough(agent, url, options);
  } finally {
    await agent.destroy();
  }
}

async function askThrough(agent: Agent | undefined, url: URL, { key, signal }: AskOptions): Promise<Asked> {
  const { statusCode: status, body } = await request(url, {
    ...(agent === undefined ? {} : { dispatcher: agent }),
    signal,
    headers: key === undefined ? {} : { authorization: `Bearer ${key}` },
  });
  const text = await body.text();
  return { ok: status === 200, status, text, content: parse(text) };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
