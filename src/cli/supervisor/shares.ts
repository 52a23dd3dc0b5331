import { giveWay } from '../../adapters/system/index.ts';
import type { ServiceName } from '../../contract/index.ts';
import type { ServiceDeployment } from '../../define/index.ts';
import { compileCacheFolder } from '../compile-cache.ts';

/**
 * How a process gives way to others, from 0 (not at all) to 19. Training has time, and whoever waits for a decision has
 * none.
 */
const NICENESS: Readonly<Partial<Record<ServiceName, number>>> = { train: 10 };

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
  return { NODE_COMPILE_CACHE: compileCacheFolder(dataDir) };
}

/** Lets a process give way to others as its service should, once it is ready: a start is never held back. */
export async function lowerPriority(service: ServiceName, pid: number): Promise<void> {
  const niceness = NICENESS[service] ?? 0;
  if (niceness > 0) await giveWay(pid, niceness);
}
