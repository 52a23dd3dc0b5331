import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { isAlive, processStart } from '../../src/cli/process-identity.ts';
import { command, commandAtExit, type Need } from './command.ts';

/** What a network of namespaces needs. */
export const NETWORK_NEEDS: readonly Need[] = [
  { program: 'ip', package: 'iproute2' },
  { program: 'nft', package: 'nftables' },
  { program: 'setpriv', package: 'util-linux' },
];

/** Begins the names of folders and namespaces. */
const PREFIX = 'tandem-lab-';
/** The first of the subnets that are tried, as 10.SECOND.THIRD.0/24. */
const SUBNET = { second: 77, thirds: 256 } as const;

/** A host: a network namespace with an address on the bridge. */
export class LabHost {
  readonly name: string;
  readonly namespace: string;
  readonly address: string;

  constructor(name: string, namespace: string, address: string) {
    this.name = name;
    this.namespace = namespace;
    this.address = address;
  }

  /** Starts a program on the host, as `user` (default root). */
  spawn(
    program: readonly string[],
    options: {
      readonly user?: string;
      readonly log: number;
      readonly environment?: Readonly<Record<string, string>>;
    },
  ): ChildProcess {
    const { user, log, environment = {} } = options;
    const identity =
      user === undefined
        ? []
        : ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups', '--reset-env'];
    return spawn('ip', ['netns', 'exec', this.namespace, ...identity, ...program], {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...environment },
      detached: true,
    });
  }

  /** Runs a program on the host to its end. */
  run(...program: readonly string[]): Promise<string> {
    return command('ip', 'netns', 'exec', this.namespace, ...program);
  }

  /** All processes of the host. */
  async pids(): Promise<number[]> {
    const text = await command('ip', 'netns', 'pids', this.namespace);
    return text.split('\n').filter(Boolean).map(Number);
  }

  /** Cuts the cable: nothing comes in and nothing goes out, without a word to anybody. Checks that it is so. */
  async cut(): Promise<void> {
    const rules = [
      'add table inet lab',
      'add chain inet lab in { type filter hook input priority 0; }',
      'add chain inet lab out { type filter hook output priority 0; }',
      'add rule inet lab in iifname "e0" drop',
      'add rule inet lab out oifname "e0" drop',
    ];
    await this.run('nft', rules.join('; '));
    const found = await this.run('nft', 'list', 'table', 'inet', 'lab');
    const drops = found.split('\n').filter((line) => line.includes('drop')).length;
    if (drops !== 2) throw new Error(`${this.name} was not cut off, its rules are: ${found}`);
  }

  async heal(): Promise<void> {
    await this.run('nft', 'delete', 'table', 'inet', 'lab');
  }
}

/**
 * Hosts of a lab on one machine: network namespaces on a bridge, and this machine itself as one more host at address
 * 254 of the subnet. Names and subnet are the run's own. Folder and namespaces go away at the end of the scope, at the
 * end of the process, and, after a SIGKILL, when the next lab is made.
 */
export class Network implements AsyncDisposable {
  /** A folder of the lab's own, which every user can enter. */
  readonly folder: string;
  /** Without the last number, e.g. `10.77.3`. */
  readonly subnet: string;
  readonly hosts: readonly LabHost[];
  readonly #atExit: () => void;

  private constructor(folder: string, subnet: string, hosts: readonly LabHost[]) {
    this.folder = folder;
    this.subnet = subnet;
    this.hosts = hosts;
    this.#atExit = () => tearDownAtExit(folder);
    process.on('exit', this.#atExit);
  }

  /** Makes hosts with these names. */
  static async make(names: readonly string[]): Promise<Network> {
    await removeAbandoned();
    const folder = await mkdtemp(join(tmpdir(), PREFIX));
    await command('chmod', '755', folder);
    await writeFile(
      join(folder, 'owner'),
      `${String(process.pid)} ${(await processStart(process.pid)) ?? ''}`,
    );
    const id = basename(folder);
    try {
      const subnet = await connect(`${id}-hub`, id);
      const hosts: LabHost[] = [];
      for (const [index, name] of names.entries()) {
        const namespace = `${id}-${name}`;
        const address = `${subnet}.${String(index + 1)}`;
        await plugIn(namespace, `${id}-hub`, name, address);
        hosts.push(new LabHost(name, namespace, address));
        await mkdir(join(folder, name));
      }
      return new Network(folder, subnet, hosts);
    } catch (error) {
      await tearDown(folder);
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off('exit', this.#atExit);
    await tearDown(this.folder);
  }
}

/** A bridge in a namespace of its own, with this machine plugged in. Resolves with the subnet. */
async function connect(hub: string, id: string): Promise<string> {
  await command('ip', 'netns', 'add', hub);
  await command('ip', '-n', hub, 'link', 'add', 'br0', 'type', 'bridge');
  await command('ip', '-n', hub, 'link', 'set', 'br0', 'up');
  // A link's name has at most 15 characters. The link goes away with the namespace that has its other end.
  const link = `tl${id.slice(PREFIX.length)}`;
  await command('ip', 'link', 'add', link, 'type', 'veth', 'peer', 'name', 'machine', 'netns', hub);
  await command('ip', '-n', hub, 'link', 'set', 'machine', 'master', 'br0', 'up');
  for (let attempt = 0; attempt < SUBNET.thirds; attempt += 1) {
    const third = (process.pid + attempt) % SUBNET.thirds;
    const subnet = `10.${String(SUBNET.second)}.${String(third)}`;
    const taken = await command('ip', '-4', 'route', 'show', 'to', 'match', `${subnet}.1`);
    if (taken.split('\n').some((line) => line.startsWith('10.'))) continue;
    await command('ip', 'addr', 'add', `${subnet}.254/24`, 'dev', link);
    await command('ip', 'link', 'set', link, 'up');
    return subnet;
  }
  throw new Error('Every subnet of the lab is taken');
}

async function plugIn(namespace: string, hub: string, name: string, address: string): Promise<void> {
  await command('ip', 'netns', 'add', namespace);
  await command(
    'ip',
    '-n',
    namespace,
    'link',
    'add',
    'e0',
    'type',
    'veth',
    'peer',
    'name',
    `to-${name}`,
    'netns',
    hub,
  );
  await command('ip', '-n', hub, 'link', 'set', `to-${name}`, 'master', 'br0', 'up');
  await command('ip', '-n', namespace, 'addr', 'add', `${address}/24`, 'dev', 'e0');
  await command('ip', '-n', namespace, 'link', 'set', 'e0', 'up');
  await command('ip', '-n', namespace, 'link', 'set', 'lo', 'up');
}

async function namespacesOf(folder: string): Promise<string[]> {
  const text = await command('ip', 'netns', 'list');
  const names = text.split('\n').map((line) => line.split(' ')[0] ?? '');
  return names.filter((name) => name.startsWith(`${basename(folder)}-`));
}

/** Ends every process of the lab's hosts, and only those, and removes hosts and folder. */
async function tearDown(folder: string): Promise<void> {
  for (const namespace of await namespacesOf(folder)) {
    for (let round = 0; round < 50; round += 1) {
      const pids = (await command('ip', 'netns', 'pids', namespace)).split('\n').filter(Boolean);
      if (pids.length === 0) break;
      for (const pid of pids) endProcess(Number(pid));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await command('ip', 'netns', 'delete', namespace);
  }
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}

function tearDownAtExit(folder: string): void {
  const id = basename(folder);
  for (const line of commandAtExit('ip', 'netns', 'list').split('\n')) {
    const [namespace = ''] = line.split(' ');
    if (!namespace.startsWith(`${id}-`)) continue;
    for (const pid of commandAtExit('ip', 'netns', 'pids', namespace).split('\n').filter(Boolean)) {
      endProcess(Number(pid));
    }
    commandAtExit('ip', 'netns', 'delete', namespace);
  }
  commandAtExit('rm', '-rf', folder);
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has just ended.
  }
}

/** Removes labs whose process was killed. */
async function removeAbandoned(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(PREFIX)) continue;
    const folder = join(tmpdir(), name);
    const [pid = '', ...started] = (await readFile(join(folder, 'owner'), 'utf8').catch(() => '')).split(' ');
    if (pid === '' || (await isAlive({ pid: Number(pid), started: started.join(' ') }))) continue;
    await tearDown(folder);
  }
}
