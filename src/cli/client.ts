import { systemClock, systemRandom } from '../adapters/system/index.ts';
import { PlatformError } from '../contract/index.ts';
import { httpCaller } from '../runtime/http/client.ts';
import type { Caller } from '../runtime/service.ts';
import { findDev } from './data-directory.ts';

export interface ClientOptions {
  readonly url?: string | undefined;
  readonly dataDir?: string | undefined;
}

/** A server that verbs speak to. */
export interface Client extends AsyncDisposable {
  readonly url: URL;
  readonly call: Caller;
  /** What `/readyz` answers. */
  readiness(): Promise<Readiness>;
}

/** The answer of `/readyz`. */
export interface Readiness {
  readonly ready: boolean;
  readonly services: Readonly<Record<string, { readonly ready: boolean; readonly reason?: string }>>;
}

/** How long `/readyz` is waited for, in milliseconds. */
const READY_MS = 5_000;

/** Finds the server: `--url`, else TANDEM_URL, else the `tandem dev` that runs on the data directory. */
export async function openClient(
  options: ClientOptions,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Client> {
  const url = await findServer(options, environment);
  const clock = systemClock();
  const caller = httpCaller({
    addresses: () => [url],
    clock,
    random: systemRandom(),
  });
  return {
    url,
    call: caller.call,
    readiness: () => askReadiness(url),
    [Symbol.asyncDispose]: () => caller.close(),
  };
}

/** The folder of the data, for verbs that only look for a server there. */
export function dataDirOf(options: ClientOptions, environment: NodeJS.ProcessEnv = process.env): string {
  return options.dataDir ?? (environment['TANDEM_DATA_DIR'] || '.tandem');
}

async function findServer(options: ClientOptions, environment: NodeJS.ProcessEnv): Promise<URL> {
  const given = options.url ?? (environment['TANDEM_URL'] || undefined);
  if (given !== undefined) {
    if (URL.canParse(given) && /^https?:$/.test(new URL(given).protocol)) return new URL(given);
    throw new PlatformError('CONFIGURATION', `--url: expected http://host:port, got '${given}'`);
  }
  const dataDir = dataDirOf(options, environment);
  const found = await findDev(dataDir);
  if (found?.url != null) return new URL(found.url);
  if (found !== undefined) {
    throw new PlatformError(
      'UNAVAILABLE',
      `'tandem dev' is still starting (process ${String(found.pid)}); try again in a moment`,
    );
  }
  throw new PlatformError(
    'UNAVAILABLE',
    `No server runs on the data directory ${dataDir}. Start one with 'tandem dev', or name one with --url or TANDEM_URL.`,
  );
}

async function askReadiness(url: URL): Promise<Readiness> {
  let answer: Response;
  try {
    answer = await fetch(new URL('/readyz', url), { signal: AbortSignal.timeout(READY_MS) });
  } catch (error) {
    throw new PlatformError('UNAVAILABLE', `There is no answer from ${url.origin}`, { cause: error });
  }
  const body = (await answer.json().catch(() => undefined)) as
    | Partial<Readiness>
    | { details?: Readiness }
    | undefined;
  const readiness = body !== undefined && 'details' in body ? body.details : (body as Readiness | undefined);
  if (readiness?.services !== undefined) return readiness;
  throw new PlatformError(
    'UNAVAILABLE',
    `${url.origin} answered ${String(answer.status)}, but not like a Tandem server`,
  );
}
