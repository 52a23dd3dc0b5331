import { PlatformError } from '../../contract/errors.ts';

/** One server of a DATABASE_URL. */
export interface Host {
  /** For texts: `host:port`, without credentials. */
  readonly name: string;
  readonly hostname: string;
  readonly port: number;
  /** Address of this server alone. */
  readonly url: string;
}

const PORT = 5432;
/** Most servers in one address. */
const HOSTS_MAX = 16;
/** Which servers may be used: only the one that takes writes. Other wishes cannot be met. */
const SESSION_ATTRIBUTES: ReadonlySet<string> = new Set(['read-write', 'primary']);

/**
 * Reads a database address, which may name several servers as libpq writes it:
 * `postgres://user:password@one:5432,two:5432,three/database?sslmode=require`. Throws CONFIGURATION; the text shows no
 * password.
 */
export function readAddress(url: string): readonly [Host, ...Host[]] {
  const parts = /^([a-z0-9+.-]+):\/\/([^/?#]*@)?([^/?#]*)(\/[^?#]*)?(?:\?([^#]*))?$/is.exec(url);
  const [, scheme = '', user = '', authority = '', path = '', query = ''] = parts ?? [];
  if (parts === null) {
    throw wrong('must look like postgres://user:password@host:5432/database, with hosts parted by commas');
  }
  if (scheme !== 'postgres' && scheme !== 'postgresql') {
    throw wrong(`must begin with postgres://, it begins with ${scheme}://`);
  }
  const names = authority.split(',');
  if (names.length > HOSTS_MAX) throw wrong(`names at most ${HOSTS_MAX} hosts, it names ${names.length}`);
  const rest = `${path}${restOf(query)}`;
  const [first, ...others] = names.map((name) => hostOf(name, names.length > 1, `${scheme}://${user}`, rest));
  if (first === undefined) throw wrong('names no host');
  return [first, ...others];
}

function hostOf(text: string, isOneOfMany: boolean, before: string, rest: string): Host {
  const url = `${before}${text}${rest}`;
  const match = /^(\[[0-9a-f:.]+\]|[^:[\]]*)(?::(\d{1,5}))?$/i.exec(text);
  const hostname = match?.[1]?.replace(/^\[|\]$/g, '') ?? '';
  // A single address may leave the host to the driver, e.g. for a socket: postgres:///db?host=/run/postgresql.
  if (match === null || (hostname === '' && isOneOfMany)) throw wrong(`names a host '${text}' that is none`);
  const port = Number(match[2] ?? PORT);
  if (port < 1 || port > 65_535) throw wrong(`names port ${port} for '${hostname}'`);
  return { name: `${match[1] === '' ? 'localhost' : match[1]}:${port}`, hostname, port, url };
}

/** The query without what only libpq knows. */
function restOf(query: string): string {
  const kept = query.split('&').filter((pair) => {
    const [name, value = ''] = pair.split('=');
    if (name !== 'target_session_attrs') return pair !== '';
    if (SESSION_ATTRIBUTES.has(decodeURIComponent(value))) return false;
    throw wrong(`asks for target_session_attrs=${value}: only read-write is possible`);
  });
  return kept.length === 0 ? '' : `?${kept.join('&')}`;
}

function wrong(text: string): PlatformError {
  return new PlatformError('CONFIGURATION', `DATABASE_URL ${text}`);
}
