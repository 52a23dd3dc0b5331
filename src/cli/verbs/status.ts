import { setTimeout as sleep } from 'node:timers/promises';
import {
  type FeaturesStatus,
  PlatformError,
  type Release,
  routes,
  type SourceDescription,
} from '../../contract/index.ts';
import { type Client, type ClientOptions, dataDirOf, openClient } from '../client.ts';
import { buildName } from '../deploy/build.ts';
import { amount, type Output, table, when } from '../output.ts';
import { isAlive } from '../process-identity.ts';
import { openControl } from '../supervisor/control.ts';
import { type ProcessRecord, readState, type ServiceRecord } from '../supervisor/state-file.ts';

/** How often `-w` looks, in milliseconds. */
const LOOK_MS = 2_000;
const CLEAR_SCREEN = '\u001b[H\u001b[2J';

export interface StatusVerbOptions extends ClientOptions {
  readonly watch: boolean;
}

interface Status {
  /** The one server's address; `null` with `tandem up`. */
  readonly url: string | null;
  /** What `tandem up` runs; `null` with one server. */
  readonly up: UpStatus | null;
  readonly ready: boolean;
  readonly services: Readonly<Record<string, { readonly ready: boolean; readonly reason?: string }>>;
  readonly sources: readonly SourceDescription[];
  /** Size of the online state, by feature group. */
  readonly groups: FeaturesStatus['groups'];
  readonly models: readonly { readonly model: string; readonly newest: number | null }[];
  readonly releases: readonly Release[];
  /** What could not be asked, and why. */
  readonly missing: readonly string[];
}

interface UpStatus {
  /** Process id of the supervisor; `null` when it is gone and its processes go on without it. */
  readonly pid: number | null;
  /** Wanted processes by service. */
  readonly replicas: Readonly<Record<string, number>>;
  /** Why so many, by service. */
  readonly scaling: Readonly<Record<string, ServiceRecord>>;
  readonly processes: readonly ProcessRecord[];
}

/**
 * `tandem status`: what runs, how far it is, what is in charge. With `-w` again and again, one JSON line each
 * with `--json`.
 */
export async function status(options: StatusVerbOptions, output: Output): Promise<void> {
  await using client = await openClient(options);
  for (;;) {
    const found = await ask(client, dataDirOf(options));
    const isScreen = options.watch && !output.json && process.stdout.isTTY;
    output.result(found, () => `${isScreen ? CLEAR_SCREEN : ''}${describe(found, output)}`);
    if (!options.watch) return;
    await sleep(LOOK_MS);
  }
}

/** Asks everything that can be asked: a status must show what works when something does not. */
async function ask(client: Client, dataDir: string): Promise<Status> {
  const missing: string[] = [];
  const tried = async <TResult>(what: string, asking: Promise<TResult>): Promise<TResult | undefined> => {
    try {
      return await asking;
    } catch (error) {
      missing.push(`${what}: ${PlatformError.is(error) ? error.message : String(error)}`);
      return undefined;
    }
  };
  const nothing = { params: {}, query: {}, body: {} };
  const { ready, services } = await client.readiness();
  const [features, models, current] = await Promise.all([
    tried('features', client.call(routes.getFeaturesStatus, nothing)),
    tried('models', client.call(routes.listModels, nothing)),
    tried('releases', client.call(routes.getCurrentReleases, nothing)),
  ]);
  const described = (features?.sources ?? []).map(({ source }) =>
    tried(source, client.call(routes.describeSource, { ...nothing, params: { source } })),
  );
  return {
    url: client.url?.origin ?? null,
    up: client.url === null ? await askUp(dataDir) : null,
    ready,
    services,
    groups: features?.groups ?? [],
    sources: (await Promise.all(described)).flatMap((source) => source ?? []),
    models: (models?.models ?? []).map(({ model, newest }) => ({ model, newest: newest?.version ?? null })),
    releases: current?.releases ?? [],
    missing,
  };
}

async function askUp(dataDir: string): Promise<UpStatus | null> {
  const kept = await readState(dataDir);
  if (kept === undefined) return null;
  // The supervisor knows better than its file what the signals say now.
  const live = await openControl(dataDir)
    .then((control) => control.state())
    .catch(() => undefined);
  const { supervisor, services, processes } = live ?? kept;
  const replicas = Object.fromEntries(
    Object.entries(services).map(([name, record]) => [name, record.replicas]),
  );
  const pid = (await isAlive(supervisor)) ? supervisor.pid : null;
  return { pid, replicas, scaling: services, processes };
}

function describeUp({ scaling, processes }: UpStatus): string {
  const services = Object.entries(scaling).map(([name, record]) => {
    const ready = processes.filter(({ service, state }) => service === name && state === 'ready').length;
    return [name, `${String(ready)}/${String(record.replicas)}`, rangeText(record), whyText(record)];
  });
  const rows = processes.map((record) => [
    `${record.service}-${String(record.slot)}`,
    record.state,
    record.pid === null ? '-' : String(record.pid),
    record.url ?? '-',
    record.build ?? '-',
    String(record.restarts),
    troubleText(record),
  ]);
  const deployments = Object.entries(scaling).flatMap(([name, { deployment }]) =>
    deployment === null
      ? []
      : [[name, buildName(deployment.to), deployment.phase, when(deployment.at), deployment.reason ?? '']],
  );
  return [
    table(['PROCESS', 'STATE', 'PID', 'URL', 'BUILD', 'RESTARTS', ''], rows),
    table(['SCALING', 'READY', 'RANGE', 'LOAD AND LAST CHANGE'], services),
    ...(deployments.length === 0 ? [] : [table(['DEPLOYED', 'BUILD', 'STATE', 'SINCE', ''], deployments)]),
  ].join('\n\n');
}

/** What is wrong with a process: how the one before it ended is told until the next one is ready. */
function troubleText({ problem, state, lastEnd }: ProcessRecord): string {
  if (problem !== null) return problem;
  if (lastEnd === null || state === 'ready') return '';
  return [`ended ${when(lastEnd.at)}: ${lastEnd.how}`, ...(lastEnd.error ?? '').split('\n', 1)]
    .filter((text) => text !== '')
    .join('; ');
}

function rangeText({ min, max, scaled }: ServiceRecord): string {
  const range = min === max ? String(min) : `${String(min)}..${String(max)}`;
  return scaled ? `${range} by tandem scale` : range;
}

function whyText({ signal, held, changed }: ServiceRecord): string {
  const last = changed === null ? [] : [`${when(changed.at)}: ${changed.reason}`];
  return [...(signal === null ? [] : [signal]), ...(held === null ? [] : [held]), ...last].join('; ');
}

function title({ url, up }: Status): string {
  if (url !== null) return url;
  return up?.pid == null
    ? "processes without their supervisor ('tandem up' takes them over)"
    : `tandem up, process ${String(up.pid)}`;
}

function describe(status: Status, output: Output): string {
  const mark = (ready: boolean): string =>
    output.style(ready ? 'green' : 'yellow', ready ? 'ready' : 'waiting');
  const parts = [
    `${title(status)}  ${mark(status.ready)}`,
    ...(status.up === null ? [] : [describeUp(status.up)]),
    table(
      ['SERVICE', 'STATE', ''],
      Object.entries(status.services).map(([name, { ready, reason }]) => [
        name,
        ready ? 'ready' : 'waiting',
        reason ?? '',
      ]),
    ),
  ];
  if (status.sources.length > 0) {
    const rows = status.sources.map((source) => [
      source.name,
      ...[source.accepted, source.quarantined, source.duplicates, source.lag].map((count) =>
        count === null ? '?' : amount(count),
      ),
    ]);
    parts.push(table(['SOURCE', 'ACCEPTED', 'QUARANTINED', 'DUPLICATES', 'LAG'], rows));
  }
  if (status.groups.length > 0) {
    const rows = status.groups.map(({ group, keys, bytes, bytesPerKey }) => [
      group,
      amount(keys),
      `${amount(bytes)} B`,
      bytesPerKey === null ? '-' : `${amount(bytesPerKey)} B`,
    ]);
    parts.push(table(['GROUP', 'KEYS', 'MEMORY', 'A KEY'], rows));
  }
  if (status.models.length > 0) {
    parts.push(
      table(
        ['MODEL', 'NEWEST'],
        status.models.map(({ model, newest }) => [model, newest === null ? '-' : String(newest)]),
      ),
    );
  }
  if (status.releases.length > 0) {
    const rows = status.releases.map(({ decision, id, model, version, createdAt }) => [
      decision,
      id,
      `${model} ${String(version)}`,
      when(createdAt),
    ]);
    parts.push(table(['DECISION', 'RELEASE', 'MODEL', 'SINCE'], rows));
  }
  if (status.missing.length > 0) parts.push(status.missing.join('\n'));
  return parts.join('\n\n');
}
