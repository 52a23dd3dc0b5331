import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { removeEmbedded } from '../../src/adapters/postgres/index.ts';
import type { ServiceName } from '../../src/contract/index.ts';
import { whyNot } from '../cluster/command.ts';
import { CLUSTER_NEEDS, DatabaseCluster } from '../cluster/database-cluster.ts';
import { ROOT } from '../tidy/tree.ts';
import type { ChaosOptions, ChaosResult } from './run.ts';
import { atEnd, endProcesses } from './support/ending.ts';

const PORT = 7_717;
/** How long the processes on the hosts may take until the gateway is ready, in milliseconds. */
const READY_MS_MAX = 120_000;
/** How long one run of the fraud example may take, in milliseconds. */
const RUN_MS_MAX = 400_000;
const LOOK_MS = 250;

/** One route of each service but serve, which has none that asks for nothing. */
const ASKED = ['/readyz', '/v1/sources/transactions', '/v1/features', '/v1/models', '/v1/models/fraud/runs'];

/** What runs on which of the three hosts. */
const PLACES: readonly (readonly ServiceName[])[] = [
  ['ingest', 'features', 'gateway'],
  ['features', 'serve', 'registry'],
  ['features', 'serve', 'train'],
];

/** What the example says a run came to. */
interface Report {
  readonly digests: Readonly<Record<string, unknown>>;
  readonly features: { readonly valuesOnline: number };
  readonly decisions: { readonly count: number };
}

/**
 * The fraud example, one simulated day, in every form of the product: one process, processes of one each, processes of
 * three each, and three hosts that share a PostgreSQL of theirs (where this machine can have such). Features, datasets,
 * models and decisions must be the same to the last bit. The short form leaves `up1` out; `--only=up1,up3,hosts` says which.
 */
export async function run({ short, values, note }: ChaosOptions): Promise<ChaosResult> {
  const folder = await mkdtemp(join(tmpdir(), 'tandem-profiles-'));
  const violations: string[] = [];
  const counts: Record<string, number> = {};
  const remove = async (): Promise<void> => {
    // A product whose driver failed would start its database again.
    endProcesses();
    for (const name of ['dev', 'up1', 'up3']) await removeEmbedded(join(folder, name, 'postgres'));
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  using _ending = atEnd(remove);
  try {
    const alone = await fraud(folder, 'dev', []);
    const { valuesOnline } = alone.features;
    counts['values'] = valuesOnline;
    counts['decisions'] = alone.decisions.count;
    note(`one process: ${JSON.stringify(alone.digests)}`);
    const compare = (name: string, report: Report): void => {
      const isEqual = JSON.stringify(report.digests) === JSON.stringify(alone.digests);
      note(`${name}: ${isEqual ? 'the same' : `DIFFERENT: ${JSON.stringify(report.digests)}`}`);
      counts[name] = isEqual ? 1 : 0;
      if (!isEqual) violations.push(`${name} does not come to the same as one process`);
    };
    const wanted = values['only']?.split(',') ?? (short ? ['up3', 'hosts'] : ['up1', 'up3', 'hosts']);
    for (const name of wanted.filter((form) => form !== 'hosts'))
      compare(name, await fraud(folder, name, ['--replicas', name.replace('up', '')]));
    const missing = await whyNot(CLUSTER_NEEDS);
    if (missing !== undefined) note(`three hosts: SKIPPED: ${missing}`);
    else if (wanted.includes('hosts')) compare('hosts', await onThreeHosts(folder, note));
    return { counts, violations };
  } finally {
    await remove();
  }
}

/** Runs the example; rejects with the end of what it said when it fails. */
async function fraud(
  folder: string,
  name: string,
  parameters: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Report> {
  const report = join(folder, `${name}.json`);
  const own = ['--once', '--report', report, '--data-dir', join(folder, name)];
  const script = join(ROOT, 'examples/fraud/run.ts');
  await promisify(execFile)(process.execPath, ['--conditions=tandem-source', script, ...own, ...parameters], {
    cwd: ROOT,
    timeout: RUN_MS_MAX,
    env: { ...process.env, ...environment },
  });
  return JSON.parse(await readFile(report, 'utf8')) as Report;
}

async function onThreeHosts(folder: string, note: (text: string) => void): Promise<Report> {
  await using cluster = await DatabaseCluster.start(note);
  const dataDir = join(folder, 'hosts');
  await mkdir(dataDir, { recursive: true });
  const addresses = cluster.hosts.map(({ host }) => host.address);
  const environment = {
    DATABASE_URL: cluster.url,
    // Addresses of a network that is this machine's own.
    TANDEM_HTTP_INSECURE_HTTP: 'true',
    TANDEM_HTTP_HOST_NAMES: addresses.join(','),
  };
  const main = ['--conditions=tandem-source', join(ROOT, 'src/cli/main.ts')];
  for (const [index, services] of PLACES.entries()) {
    const database = cluster.hosts[index];
    if (database === undefined) throw new Error('There are three hosts');
    for (const service of services) {
      const log = await open(join(dataDir, `${database.name}-${service}.log`), 'a');
      const app = ['--app', join(ROOT, 'examples/fraud/app.ts'), '--clock', 'event', '--data-dir', dataDir];
      const port = service === 'gateway' ? PORT : 0;
      const place = ['--host', database.host.address, '--port', String(port)];
      database.host.spawn([process.execPath, ...main, 'run', service, ...app, ...place], {
        log: log.fd,
        environment: { ...environment, TANDEM_REPLICA: `${service}-${database.name}` },
      });
      await log.close();
    }
  }
  const url = `http://${addresses[0] ?? ''}:${String(PORT)}`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [...main, 'keys', 'create', 'driver', '--role', 'admin', '--direct'],
    { cwd: ROOT, env: { ...process.env, DATABASE_URL: cluster.url } },
  );
  const keyFile = join(folder, 'driver.key');
  await writeFile(keyFile, stdout, { mode: 0o600 });
  await untilReady(url, stdout.trim(), dataDir);
  try {
    return await fraud(folder, 'hosts', ['--url', url], { TANDEM_KEY_FILE: keyFile });
  } catch (error) {
    note(await endOfLogs(dataDir));
    throw error;
  }
}

/** Waits until every service answers through the gateway. */
async function untilReady(url: string, key: string, dataDir: string): Promise<void> {
  const deadline = performance.now() + READY_MS_MAX;
  const answers = (path: string): Promise<boolean> =>
    fetch(`${url}${path}`, {
      headers: { authorization: `Bearer ${key}` },
      signal: AbortSignal.timeout(5_000),
    }).then(
      ({ ok }) => ok,
      () => false,
    );
  for (;;) {
    if ((await Promise.all(ASKED.map(answers))).every(Boolean)) return;
    if (performance.now() > deadline)
      throw new Error(`The gateway at ${url} is not ready:\n${await endOfLogs(dataDir)}`);
    await sleep(LOOK_MS);
  }
}

/** The last lines of every process on the hosts. */
async function endOfLogs(dataDir: string): Promise<string> {
  const files = PLACES.flatMap((services, index) =>
    services.map((service) => join(dataDir, `h${String(index + 1)}-${service}.log`)),
  );
  return (await promisify(execFile)('tail', ['-n', '5', ...files])).stdout;
}
