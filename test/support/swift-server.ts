import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { command } from '../cluster/command.ts';
import { serverPort } from './server-port.ts';

const PROGRAMS = ['proxy', 'account', 'container', 'object'] as const;
type Part = (typeof PROGRAMS)[number];

/** What Debian's packages of OpenStack Swift would be installed with. */
export const SWIFT_PACKAGES = 'swift-proxy swift-account swift-container swift-object';
/** Where Swift insists on finding what all of its processes share; each of ours sees its own folder there. */
const SHARED_FOLDER = '/etc/swift';
const REGION = 'eu-central-1';
const START_MS_MAX = 60_000;

/** Access to a Swift that speaks the S3 API. */
export interface SwiftServer extends AsyncDisposable {
  readonly port: number;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Whether Debian's Swift is installed; it is run as root only. */
export function isSwiftInstalled(): boolean {
  return (
    process.getuid?.() === 0 &&
    existsSync(SHARED_FOLDER) &&
    PROGRAMS.every((part) => existsSync(`/usr/bin/swift-${part}-server`))
  );
}

/** OpenStack Swift with its S3 interface, one process of each kind, on the loopback. It checks signatures. */
export async function swiftServer(): Promise<SwiftServer> {
  const folder = await mkdtemp(join(tmpdir(), 'tandem-swift-'));
  const ports = { proxy: 0, account: 0, container: 0, object: 0 };
  for (const part of PROGRAMS) ports[part] = await serverPort();
  await mkdir(join(folder, 'devices', 'd1'), { recursive: true });
  for (const part of ['account', 'container', 'object'] as const) {
    const builder = join(folder, `${part}.builder`);
    await command('swift-ring-builder', builder, 'create', '4', '1', '0');
    await command('swift-ring-builder', builder, 'add', `r1z1-127.0.0.1:${String(ports[part])}/d1`, '1');
    await command('swift-ring-builder', builder, 'rebalance');
  }
  for (const part of PROGRAMS) {
    await writeFile(join(folder, `${part}.conf`), configuration(part, folder, ports[part]));
  }
  await writeFile(join(folder, 'swift.conf'), '[swift-hash]\nswift_hash_path_suffix = lab\n');
  const children: ChildProcess[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(children.splice(0).map(ended));
  };
  const start = async (): Promise<void> => {
    for (const part of PROGRAMS) {
      const log = await open(join(folder, `${part}.log`), 'a');
      const program = `mount --bind ${folder} ${SHARED_FOLDER} && exec swift-${part}-server ${SHARED_FOLDER}/${part}.conf verbose`;
      children.push(spawn('unshare', ['-m', 'sh', '-c', program], { stdio: ['ignore', log.fd, log.fd] }));
      await log.close();
    }
    for (const begun = performance.now(); ; await sleep(100)) {
      const isUp = await Promise.all(PROGRAMS.map((part) => answers(ports[part])));
      if (isUp.every(Boolean)) return;
      if (performance.now() - begun < START_MS_MAX) continue;
      const log = await readFile(join(folder, 'proxy.log'), 'utf8');
      throw new Error(`Swift does not come up: ${log.slice(-1_500)}`);
    }
  };
  await start();
  return {
    port: ports.proxy,
    region: REGION,
    accessKeyId: 'lab:tester',
    secretAccessKey: 'swift-secret',
    start,
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function configuration(part: Part, folder: string, port: number): string {
  const common = `[DEFAULT]
bind_ip = 127.0.0.1
bind_port = ${String(port)}
user = root
workers = 0
swift_dir = ${SHARED_FOLDER}
devices = ${join(folder, 'devices')}
mount_check = false
log_level = WARNING
`;
  if (part !== 'proxy') {
    return `${common}[pipeline:main]
pipeline = ${part}-server
[app:${part}-server]
use = egg:swift#${part}
`;
  }
  return `${common}[pipeline:main]
pipeline = catch_errors cache s3api tempauth slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
use = egg:swift#memcache
# None: it asks, is refused and does without.
memcache_servers = 127.0.0.1:1
[filter:tempauth]
use = egg:swift#tempauth
user_lab_tester = swift-secret .admin
[filter:slo]
use = egg:swift#slo
[filter:s3api]
use = egg:swift#s3api
location = ${REGION}
`;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const end = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await end;
}

function answers(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${String(port)}/`).then(
    () => true,
    () => false,
  );
}
