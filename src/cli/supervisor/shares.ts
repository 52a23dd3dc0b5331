import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ServiceName } from '../../contract/index.ts';
import type { ServiceDeployment } from '../../define/index.ts';

/**
 * How a process gives way to others, from 0 (not at all) to 19. Training has time, and whoever waits for a decision has
 * none.
 */
const NICENESS: Readonly<Partial<Record<ServiceName, number>>> = { train: 15 };

/** Parts of a process's memory; the rest is for code, buffers and typed arrays. */
const MEMORY_PARTS = {
  /** The JavaScript heap. */
  heap: 0.5,
  /** One session of the warehouse; two may be open. */
  warehouse: 0.125,
  /** Smallest memory of a session, in MiB. */
  warehouseLeast: 64,
} as const;
/** Threads for files, names and compression: two for each core, within these bounds. */
const POOL_THREADS = { perCore: 2, least: 4, most: 64 } as const;
const MEBIBYTE = 2 ** 20;

/** Places of the program `nice`, which every POSIX system has. */
const NICE_PLACES = ['/usr/bin/nice', '/bin/nice'];

/** Environment in which a process keeps to its shares, as far as it can by itself. What is in `given` stays as it is. */
export function shareEnvironment(deployment: ServiceDeployment, given: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { cpu, memory, memoryEnforced } = deployment;
  const threads = Math.max(1, Math.round(cpu));
  const { perCore, least, most } = POOL_THREADS;
  return {
    UV_THREADPOOL_SIZE: String(Math.min(most, Math.max(least, perCore * Math.ceil(cpu)))),
    TANDEM_WAREHOUSE_THREADS: String(threads),
    ...(memoryEnforced ? { TANDEM_WAREHOUSE_MEMORY_BYTES_MAX: warehouseBytes(memory) } : {}),
    ...given,
    ...(memoryEnforced ? { NODE_OPTIONS: heapOptions(memory, given['NODE_OPTIONS'] ?? '') } : {}),
  };
}

function warehouseBytes(memory: number): string {
  const { warehouse, warehouseLeast } = MEMORY_PARTS;
  return String(Math.max(warehouseLeast, Math.floor(memory * warehouse)) * MEBIBYTE);
}

function heapOptions(memory: number, given: string): string {
  // The last one counts: what somebody asked for stays.
  return `--max-old-space-size=${String(Math.floor(memory * MEMORY_PARTS.heap))} ${given}`.trimEnd();
}

/** Compiled code is kept below the data directory, so that the second start of a process takes half as long. */
export function compileCache(dataDir: string): NodeJS.ProcessEnv {
  return { NODE_COMPILE_CACHE: join(dataDir, 'cache', 'compile') };
}

/** The command line that runs a process with the priority of its service. */
export function withPriority(service: ServiceName, command: readonly string[]): readonly string[] {
  const niceness = NICENESS[service] ?? 0;
  const nice = niceness === 0 ? undefined : NICE_PLACES.find((place) => existsSync(place));
  // From the start, and by a program of its own: threads inherit it, and each has its own.
  return nice === undefined ? command : [nice, '-n', String(niceness), ...command];
}

/**
 * Linux may share the processor among sessions rather than processes, and each process of ours is a session of its own:
 * there the session has to give way.
 */
export async function lowerSession(service: ServiceName, pid: number): Promise<void> {
  const niceness = NICENESS[service] ?? 0;
  if (niceness === 0 || process.platform !== 'linux') return;
  // Kernels without such sessions have no such file.
  await writeFile(`/proc/${String(pid)}/autogroup`, String(niceness)).catch(() => undefined);
}
