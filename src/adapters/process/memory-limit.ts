import { findProgram, PATH_DEFAULT } from './find-program.ts';
import type { KeeperOrder } from './orders.ts';

/** A command line with limits of the kernel, and what limits its memory, in words. */
export interface LimitedCommand {
  readonly command: readonly string[];
  readonly limit: string;
}

/**
 * On Linux with `prlimit` (of util-linux) the kernel refuses memory to each process beyond the limit and files beyond the
 * disk's, and writes no core dumps; what all processes take together is watched besides.
 *
 * It limits data (RLIMIT_DATA), not addresses (RLIMIT_AS): runtimes reserve addresses that they never use. Importing
 * xgboost on two processors fits into 256 MiB of data, but not of addresses; with more processors the gap grows.
 */
export function limitedCommand(
  order: Pick<KeeperOrder, 'program' | 'arguments' | 'memoryBytesMax' | 'diskBytesMax'>,
): LimitedCommand {
  const command = [order.program, ...order.arguments];
  if (process.platform !== 'linux') return { command, limit: 'memory not limited on this system' };
  const prlimit = findProgram('prlimit', PATH_DEFAULT);
  if (prlimit === undefined) return { command, limit: 'memory watched' };
  const limits = [
    `--data=${String(order.memoryBytesMax)}`,
    `--fsize=${String(order.diskBytesMax)}`,
    '--core=0',
  ];
  return { command: [prlimit, ...limits, '--', ...command], limit: 'memory limited and watched' };
}
