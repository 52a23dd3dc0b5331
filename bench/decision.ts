import { fileURLToPath } from 'node:url';
import { Pool } from 'undici';
import { readState } from '../src/cli/supervisor/state-file.ts';
import type { ServiceName } from '../src/contract/index.ts';
import { Platform } from '../test/chaos/support/platform.ts';
import { prepareReleases } from '../test/chaos/support/releases.ts';
import { Requests } from '../test/chaos/support/requests.ts';
import { makeTarget } from '../test/chaos/support/target.ts';
import { gatewayTarget } from '../test/support/gateway-target.ts';
import type { Measurement } from './run.ts';
import { cpuTime } from './support/cpu-time.ts';
import { median } from './support/median.ts';

/*
 * What one decision costs on its whole way, through real processes of `tandem up`: the gateway, serve, and features, which
 * serve asks for the vector. CPU is what the system has counted for the processes; that of PostgreSQL is in no figure.
 */

const ROUNDS = 5;
const DECISIONS = Number(process.env['BENCH_DECISIONS'] ?? 4_000);
/** What a process that serves costs is what counts: after 6,000 decisions the compiler was still at work, and each cost up to half more. */
const WARM_UP = 20_000;
const IN_FLIGHT = 64;
const SEED = 5;

/** Whose CPU counts. */
const ON_THE_WAY = ['gateway', 'serve', 'features'] as const satisfies readonly ServiceName[];

export async function measure(): Promise<Measurement> {
  const app = fileURLToPath(new URL('fixtures/scale/app.ts', import.meta.url));
  const replicas = { ingest: 1, features: 1, registry: 1, serve: 1, gateway: 1, train: 1 };
  // The limit on one person's requests is not what is measured.
  const set = ['gateway.adminRequestsPerSecond=1000000'];
  await using platform = await Platform.start({ app, replicas, set, note: (text) => console.error(text) });
  const target = await makeTarget(gatewayTarget(platform.dataDir));
  await using requests = new Requests(target);
  await prepareReleases(requests, SEED);
  const pids = await pidsOf(platform.dataDir);
  // Buffered: what a durable one costs besides is PostgreSQL's.
  const through = async (service: ServiceName): Promise<(decisions: number) => Promise<void>> => {
    const at = await makeTarget(service === 'gateway' ? gatewayTarget(platform.dataDir) : platform.target);
    return (decisions) => decide(at.addresses(service)[0] ?? '', at.headers(service), decisions);
  };
  const whole = await through('gateway');
  const direct = await through('serve');
  await whole(WARM_UP);
  await direct(WARM_UP);
  const samples: { whole: Cost; direct: Cost }[] = [];
  for (let round = 0; round < ROUNDS; round += 1)
    samples.push({ whole: await costOf(pids, whole), direct: await costOf(pids, direct) });
  const of = (pick: (sample: { whole: Cost; direct: Cost }) => number): number => median(samples.map(pick));
  const metrics = {
    gatewayCpuUsPerDecision: of((sample) => sample.whole.gateway),
    serveCpuUsPerDecision: of((sample) => sample.whole.serve),
    featuresCpuUsPerDecision: of((sample) => sample.whole.features),
    wholeCpuUsPerDecision: of((sample) => total(sample.whole)),
    withoutGatewayCpuUsPerDecision: of((sample) => total(sample.direct)),
  };
  return { metrics, goals: [{ metric: 'wholeCpuUsPerDecision', goal: 400, bound: 'max' }] };
}

type Cost = Readonly<Record<(typeof ON_THE_WAY)[number], number>>;

function total({ gateway, serve, features }: Cost): number {
  return gateway + serve + features;
}

/** Microseconds of CPU per decision, by process. */
async function costOf(
  pids: ReadonlyMap<ServiceName, number>,
  work: (decisions: number) => Promise<void>,
): Promise<Cost> {
  const look = async (): Promise<number[]> =>
    Promise.all(ON_THE_WAY.map((service) => cpuUs(pids.get(service) ?? 0)));
  const before = await look();
  await work(DECISIONS);
  const after = await look();
  const [gateway = 0, serve = 0, features = 0] = after.map(
    (us, index) => (us - (before[index] ?? 0)) / DECISIONS,
  );
  return { gateway, serve, features };
}

async function decide(
  url: string,
  headers: Readonly<Record<string, string>>,
  decisions: number,
): Promise<void> {
  const pool = new Pool(url, { connections: IN_FLIGHT, pipelining: 1 });
  let left = decisions;
  const sender = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const orderId = `hop-${String(process.hrtime.bigint())}`;
      const body = {
        orderId,
        at: Date.now(),
        customerId: `c-${String(left % 500)}`,
        serial: left,
        risk: 0.5,
      };
      const answer = await pool.request({
        path: '/v1/decisions/suggest',
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      });
      const text = await answer.body.text();
      if (answer.statusCode !== 200) throw new Error(`${String(answer.statusCode)} ${text.slice(0, 300)}`);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, sender));
  await pool.close();
}

async function pidsOf(dataDir: string): Promise<Map<ServiceName, number>> {
  const { processes = [] } = (await readState(dataDir)) ?? {};
  return new Map(processes.flatMap(({ service, pid }) => (pid === null ? [] : [[service, pid] as const])));
}

async function cpuUs(pid: number): Promise<number> {
  const time = await cpuTime(`/proc/${String(pid)}`);
  if (time === undefined) throw new Error(`There is no process ${String(pid)} in /proc`);
  return time.own * 1e6;
}
