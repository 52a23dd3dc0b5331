import { availableParallelism, totalmem } from 'node:os';
import type { ServiceName } from '../../contract/index.ts';
import type { MachineOptions } from '../../define/index.ts';

/** Which service goes first where the machine is too small for all. */
export const PRIORITY: readonly (ServiceName | 'gateway')[] = [
  'serve',
  'gateway',
  'ingest',
  'features',
  'registry',
  'train',
];

/** Cores, and memory in MiB. */
export interface Shares {
  readonly cpu: number;
  readonly memory: number;
}

/** What the processes of one service ask of the machine. */
export interface Demand extends Shares {
  readonly service: ServiceName;
  /** Fewest processes; those of all services come before anybody's further ones. */
  readonly min: number;
  readonly wanted: number;
  /** Processes that are there and stay. */
  readonly running: number;
  /** Processes that are on their way out: until they are gone they hold their shares. */
  readonly ending: number;
}

/** How many processes a service may have. */
export interface Grant {
  readonly replicas: number;
  /** Why it is fewer than wanted; `null` when it is not. */
  readonly held: string | null;
}

/** What the processes may have together: what was given, else all of the machine. */
export function machineShares({ cpu, memory }: MachineOptions): Shares {
  return {
    cpu: cpu ?? availableParallelism(),
    memory: memory ?? Math.floor(totalmem() / 2 ** 20),
  };
}

/**
 * Shares the machine out: first one process to everybody who may not be at zero, then everybody's fewest, then further
 * ones, each by {@link PRIORITY}. Whoever comes later in it gives way, also with processes that run. A new one waits until
 * those that are to end have ended.
 */
export function allocate(demands: readonly Demand[], machine: Shares): ReadonlyMap<ServiceName, Grant> {
  const ordered = [...demands].sort((left, right) => rank(left.service) - rank(right.service));
  const free = { ...machine };
  const granted = new Map<ServiceName, number>();
  const raise = (to: (demand: Demand) => number): void => {
    for (const demand of ordered) {
      const has = granted.get(demand.service) ?? 0;
      granted.set(demand.service, has + take(free, demand, Math.min(to(demand), demand.wanted) - has));
    }
  };
  raise(({ min }) => Math.min(min, 1));
  raise(({ min }) => min);
  raise(({ wanted }) => wanted);
  return waitForRoom(ordered, granted, machine);
}

function waitForRoom(
  ordered: readonly Demand[],
  granted: ReadonlyMap<ServiceName, number>,
  machine: Shares,
): Map<ServiceName, Grant> {
  // What gives way now holds its share until it has ended, as what is ending already does.
  const free = { ...machine };
  for (const { running, ending, ...share } of ordered) spend(free, share, running + ending);
  return new Map(
    ordered.map((demand): [ServiceName, Grant] => {
      const { service, running, wanted } = demand;
      const fits = granted.get(service) ?? 0;
      const replicas = fits <= running ? fits : running + take(free, demand, fits - running);
      if (replicas >= wanted) return [service, { replicas, held: null }];
      const why = replicas < fits ? 'the rest waits for others to end' : limitText(machine);
      return [
        service,
        { replicas, held: `${String(wanted)} wanted, ${String(replicas)} of them fit: ${why}` },
      ];
    }),
  );
}

function limitText({ cpu, memory }: Shares): string {
  return `the machine gives ${String(cpu)} cores and ${String(memory)} MiB to all processes`;
}

/** Takes up to `count` shares of what is free; resolves with how many there were. */
function take(free: { cpu: number; memory: number }, share: Shares, count: number): number {
  const most = Math.min(whole(free.cpu / share.cpu), whole(free.memory / share.memory));
  const taken = Math.max(0, Math.min(count, most));
  spend(free, share, taken);
  return taken;
}

/** Rounds down, but not for what is only the arithmetic's: 0.3 / 0.1 is 3. */
function whole(quotient: number): number {
  return Math.floor(quotient + 1e-9);
}

function spend(free: { cpu: number; memory: number }, { cpu, memory }: Shares, count: number): void {
  free.cpu -= cpu * count;
  free.memory -= memory * count;
}

function rank(service: ServiceName): number {
  const place = PRIORITY.indexOf(service);
  return place === -1 ? PRIORITY.length : place;
}
