import { isIP } from 'node:net';
import { PlatformError } from '../../contract/index.ts';

/** Host headers whose verdict is remembered. */
const REMEMBERED_MAX = 64;

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Whether an address or name is this machine's own and nobody else's. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, '').toLowerCase();
  if (name === 'localhost' || name.endsWith('.localhost') || name === '::1') return true;
  return isIP(name) === 4 && name.startsWith('127.');
}

/** What protects a server that others can reach. */
export interface Protection {
  /** Whether everybody is asked for credentials. */
  readonly isGuarded: boolean;
  /** Whether what is said cannot be overheard: by TLS, or because somebody says that TLS ends elsewhere. */
  readonly isPrivate: boolean;
}

/**
 * Refuses to listen where others could connect without credentials, or could read those of others on their way. Throws
 * CONFIGURATION.
 */
export function refuseOpenAddress(host: string, { isGuarded, isPrivate }: Protection): void {
  if (isLoopback(host) || (isGuarded && isPrivate)) return;
  const text = isGuarded
    ? `host: other machines can reach '${host}', and keys would go there in the clear. Set TANDEM_TLS_CERT_FILE and ` +
      'TANDEM_TLS_KEY_FILE, or say --insecure-http when TLS ends at a proxy in front of it.'
    : `host: other machines can reach '${host}', where nobody would ask them for credentials. Set TANDEM_AUTH_REQUIRED=true, ` +
      'or listen on a loopback address such as 127.0.0.1.';
  throw new PlatformError('CONFIGURATION', text, { details: { host } });
}

export interface GuardOptions {
  readonly hostNames: readonly string[];
  readonly origins: readonly string[];
}

/** What the guard looks at. */
export interface GuardedRequest {
  readonly method: string | undefined;
  readonly host: string | undefined;
  readonly origin: string | undefined;
  readonly fetchSite: string | undefined;
}

/**
 * Keeps web pages from using a server that only listens on the loopback. A page whose name was rebound to
 * 127.0.0.1 sends a foreign Host; a page that posts across origins sends its Origin. Throws
 * PERMISSION_DENIED.
 */
export function makeGuard(options: GuardOptions): (request: GuardedRequest) => void {
  const names = new Set(options.hostNames.map((name) => name.toLowerCase()));
  const origins = new Set(options.origins.map((origin) => origin.toLowerCase().replace(/\/$/, '')));
  const trusted = new Set<string>();

  const isTrusted = (host: string): boolean => {
    if (trusted.has(host)) return true;
    const name = hostName(host);
    if (name === undefined || !(isLoopback(name) || names.has(name))) return false;
    if (trusted.size < REMEMBERED_MAX) trusted.add(host);
    return true;
  };

  return ({ method, host, origin, fetchSite }) => {
    if (host === undefined || !isTrusted(host)) {
      throw new PlatformError(
        'PERMISSION_DENIED',
        `host: expected localhost, a loopback address or a configured name, got '${clip(host)}'. ` +
          'TANDEM_HTTP_HOST_NAMES adds names.',
      );
    }
    if (SAFE_METHODS.has(method ?? '')) return;
    const isOwn = origin === undefined ? fetchSite !== 'cross-site' : isOwnOrigin(origin, host);
    if (isOwn || origins.has((origin ?? '').toLowerCase())) return;
    throw new PlatformError(
      'PERMISSION_DENIED',
      `origin: expected a request from the server's own pages, got one from '${clip(origin ?? fetchSite)}'. ` +
        'TANDEM_HTTP_ORIGINS adds origins.',
    );
  };
}

function hostName(host: string): string | undefined {
  const found = /^(\[[0-9a-f:.]+\]|[^:@/\\?#\s]+)(:\d{1,5})?$/i.exec(host);
  return found?.[1]?.toLowerCase().replace(/\.$/, '');
}

function isOwnOrigin(origin: string, host: string): boolean {
  const lower = origin.toLowerCase();
  return lower === `http://${host.toLowerCase()}` || lower === `https://${host.toLowerCase()}`;
}

function clip(text: string | undefined): string {
  return (text ?? 'none').slice(0, 100);
}
