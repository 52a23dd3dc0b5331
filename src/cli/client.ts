import { systemClock, systemRandom } from '../adapters/system/index.ts';
import { fromProblem, PlatformError, type ServiceName } from '../contract/index.ts';
import { httpCaller } from '../runtime/http/client.ts';
import type { Caller } from '../runtime/service.ts';
import { tlsPeers } from './access-settings.ts';
import { findKey } from './admin-key.ts';
import { ask, type Asked, type Shown } from './ask.ts';
import { findDev } from './data-directory.ts';
import {
  livingProcesses,
  type ProcessRecord,
  readState,
  readStateSync,
  type UpState,
} from './supervisor/state-file.ts';

export interface ClientOptions {
  readonly url?: string | undefined;
  readonly dataDir?: string | undefined;
  /** File of the key to show. */
  readonly keyFile?: string | undefined;
}

/** What verbs speak to: one server, or the processes of `tandem up`. */
export interface Client extends AsyncDisposable {
  /** The one server's address; `null` with `tandem up`, where each process has its own. */
  readonly url: URL | null;
  readonly call: Caller;
  /** What `/readyz` answers; of `tandem up`, all of them together. */
  readiness(): Promise<Readiness>;
  /** Addresses of every process that is known, for what each of them keeps for itself. */
  processes(): readonly URL[];
  /** What servers are shown, and what they must show. */
  readonly shown: Shown;
}

/** The answer of `/readyz`. */
export interface Readiness {
  readonly ready: boolean;
  readonly services: Readonly<Record<string, ServiceReadiness>>;
}

export interface ServiceReadiness {
  readonly ready: boolean;
  readonly reason?: string;
}

/** How long `/readyz` is waited for, in milliseconds. */
const READY_MS = 5_000;

/**
 * Finds the server: `--url`, else TANDEM_URL, else the `tandem dev` or the processes of `tandem up` on the
 * data directory.
 */
export async function openClient(
  options: ClientOptions,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Client> {
  const url = await findServer(options, environment);
  const dataDir = dataDirOf(options, environment);
  const isNamed = (options.url ?? (environment['TANDEM_URL'] || undefined)) !== undefined;
  // The key of this machine's server is for that server alone, not for whichever was named.
  const key = await findKey(
    { keyFile: options.keyFile, dataDir: isNamed ? undefined : dataDir },
    environment,
  );
  const peers = await tlsPeers({
    caFile: environment['TANDEM_TLS_CA_FILE'] || undefined,
    serverName: environment['TANDEM_TLS_SERVER_NAME'] || undefined,
  });
  const caller = httpCaller({
    addresses: () => (url === null ? gatewayAddresses(dataDir) : [url]),
    clock: systemClock(),
    random: systemRandom(),
    authorize: key === undefined ? undefined : () => `Bearer ${key}`,
    peers,
    asUser: true,
  });
  return {
    url,
    call: caller.call,
    readiness: () =>
      url === null ? askProcesses(dataDir, { key, peers }) : askReadiness(url, { key, peers }),
    shown: { key, peers },
    processes: () => (url === null ? processAddresses(dataDir) : [url]),
    [Symbol.asyncDispose]: () => caller.close(),
  };
}

/**
 * Addresses of the ready gateways of `tandem up`, read anew for each call: they come and go while a verb runs. Throws
 * UNAVAILABLE when there is none.
 */
function gatewayAddresses(dataDir: string): readonly URL[] {
  const found = (readStateSync(dataDir)?.processes ?? []).flatMap((record) => addressOf(record, 'gateway'));
  if (found.length > 0) return found;
  throw new PlatformError(
    'UNAVAILABLE',
    "No gateway of this 'tandem up' is ready, and verbs go through it. 'tandem status' and 'tandem logs gateway' say " +
      "more; 'tandem scale gateway 1' starts one where there is none.",
  );
}

function processAddresses(dataDir: string): readonly URL[] {
  const processes = readStateSync(dataDir)?.processes ?? [];
  return processes.flatMap(({ url }) => (url === null ? [] : [new URL(url)]));
}

function addressOf({ service, state, url }: ProcessRecord, wanted: ServiceName): URL[] {
  return service === wanted && state === 'ready' && url !== null ? [new URL(url)] : [];
}

/** Asks each process of `tandem up`: a service is ready when one of its processes is. */
async function askProcesses(dataDir: string, shown: Shown): Promise<Readiness> {
  const state = await readState(dataDir);
  if (state === undefined) throw noServer(dataDir);
  const names = (Object.keys(state.services) as ServiceName[]).filter(
    (name) => (state.services[name]?.replicas ?? 0) > 0,
  );
  const found = await Promise.all(
    names.map(async (name) => [name, await askService(state, name, shown)] as const),
  );
  return { ready: found.every(([, { ready }]) => ready), services: Object.fromEntries(found) };
}

async function askService(state: UpState, name: ServiceName, shown: Shown): Promise<ServiceReadiness> {
  const urls = state.processes.flatMap((record) => addressOf(record, name));
  const answers = await Promise.all(
    urls.map(async (url): Promise<ServiceReadiness> => {
      try {
        const { services } = await askReadiness(url, shown);
        return services[name] ?? { ready: false, reason: `${url.origin} does not run it` };
      } catch (error) {
        return { ready: false, reason: PlatformError.is(error) ? error.message : String(error) };
      }
    }),
  );
  return (
    answers.find(({ ready }) => ready) ?? answers[0] ?? { ready: false, reason: 'no process of it is ready' }
  );
}

/** The folder of the data, for verbs that only look for a server there. */
export function dataDirOf(options: ClientOptions, environment: NodeJS.ProcessEnv = process.env): string {
  return options.dataDir ?? (environment['TANDEM_DATA_DIR'] || '.tandem');
}

/** The address of the one server; `null` when there are processes of `tandem up`. */
async function findServer(options: ClientOptions, environment: NodeJS.ProcessEnv): Promise<URL | null> {
  const given = options.url ?? (environment['TANDEM_URL'] || undefined);
  if (given !== undefined) {
    if (URL.canParse(given) && /^https?:$/.test(new URL(given).protocol)) return new URL(given);
    throw new PlatformError('CONFIGURATION', `--url: expected http://host:port, got '${given}'`);
  }
  const dataDir = dataDirOf(options, environment);
  const found = await findDev(dataDir);
  if (found?.url != null) return new URL(found.url);
  // A killed supervisor leaves its processes serving, and one whose processes end again and again has none at times.
  const state = found?.verb === 'dev' ? undefined : await readState(dataDir);
  const isSupervised =
    state !== undefined && state.supervisor.pid === found?.pid && state.processes.length > 0;
  if (isSupervised || (state !== undefined && (await livingProcesses(state)).length > 0)) return null;
  if (found !== undefined) {
    throw new PlatformError(
      'UNAVAILABLE',
      `'tandem ${found.verb}' is still starting (process ${String(found.pid)}); try again in a moment`,
    );
  }
  throw noServer(dataDir);
}

function noServer(dataDir: string): PlatformError {
  return new PlatformError(
    'UNAVAILABLE',
    `No server runs on the data directory ${dataDir}. Start one with 'tandem dev', or name one with --url or TANDEM_URL.`,
  );
}

async function askReadiness(url: URL, shown: Shown): Promise<Readiness> {
  let answer: Asked;
  try {
    answer = await ask(new URL('/readyz', url), { ...shown, signal: AbortSignal.timeout(READY_MS) });
  } catch (error) {
    throw new PlatformError('UNAVAILABLE', `There is no answer from ${url.origin}`, { cause: error });
  }
  const { status } = answer;
  const content = answer.content as
    | Partial<Readiness>
    | { readonly details?: Partial<Readiness> }
    | undefined;
  const readiness =
    content !== undefined && 'details' in content ? content.details : (content as Partial<Readiness>);
  if (readiness?.ready !== undefined) return { ready: readiness.ready, services: readiness.services ?? {} };
  throw (
    fromProblem(content) ??
    new PlatformError('UNAVAILABLE', `${url.origin} answered ${String(status)}, but not like a Tandem server`)
  );
}
