import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PlatformError } from '../../contract/index.ts';
import { type ClientOptions, dataDirOf } from '../client.ts';
import type { Output } from '../output.ts';
import { findService } from '../settings.ts';
import { logsFolder } from '../supervisor/log-file.ts';

/** How often `-f` looks for new lines, in milliseconds. */
const LOOK_MS = 300;
/** Bytes of the end of a file that last lines are looked for in, and of one further read: 4 MiB. */
const READ_BYTES_MAX = 4 * 2 ** 20;

export interface LogsVerbOptions extends ClientOptions {
  readonly follow: boolean;
  /** Last lines of each process to show. */
  readonly lines: string;
}

/** A log that is being read. */
interface Reading {
  readonly name: string;
  readonly path: string;
  /** Up to where it was read, in bytes. */
  offset: number;
  /** Tells a file from one that took its place. */
  inode: number;
}

/** `tandem logs`: the last lines that the processes of `tandem up` wrote, with `-f` also those to come. */
export async function logs(
  service: string | undefined,
  options: LogsVerbOptions,
  output: Output,
): Promise<void> {
  const name = service === undefined ? undefined : findService(service).name;
  if (!/^\d{1,6}$/.test(options.lines)) {
    throw new PlatformError('CONFIGURATION', `--lines: expected a whole number, got '${options.lines}'`);
  }
  const folder = logsFolder(dataDirOf(options));
  const readings = new Map<string, Reading>();
  const show = (reading: Reading, lines: readonly string[]): void => {
    for (const line of lines)
      output.result({ process: reading.name, line }, () => `${reading.name} | ${line}`);
  };
  for (const reading of await findNew(folder, name, readings)) {
    show(reading, await readNew(reading, Number(options.lines)));
  }
  if (readings.size === 0 && !options.follow) {
    throw new PlatformError('UNAVAILABLE', `There are no logs in ${folder}: 'tandem up' writes them`);
  }
  while (options.follow) {
    await sleep(LOOK_MS);
    await findNew(folder, name, readings);
    for (const reading of readings.values()) show(reading, await readNew(reading, Number.POSITIVE_INFINITY));
  }
}

/** Adds the logs that are not among the readings yet, and gives them. */
async function findNew(
  folder: string,
  service: string | undefined,
  readings: Map<string, Reading>,
): Promise<Reading[]> {
  const files = await readdir(folder).catch(() => []);
  const found = files
    .sort((left, right) => left.localeCompare(right))
    .flatMap((file): Reading[] => {
      const [, name = '', of = ''] = /^((\w+)-\d+)\.log$/.exec(file) ?? [];
      if (name === '' || (service !== undefined && of !== service) || readings.has(name)) return [];
      return [{ name, path: join(folder, file), offset: 0, inode: 0 }];
    });
  for (const reading of found) readings.set(reading.name, reading);
  return found;
}

/** The last whole lines, at most so many, of what was added to the file; an unfinished one is left for later. */
async function readNew(reading: Reading, linesMax: number): Promise<string[]> {
  const file = await open(reading.path, 'r').catch(() => undefined);
  if (file === undefined) return [];
  try {
    const { size, ino } = await file.stat();
    if (ino !== reading.inode || size < reading.offset) reading.offset = 0;
    reading.inode = ino;
    const isTail = Number.isFinite(linesMax);
    const from = isTail ? Math.max(reading.offset, size - READ_BYTES_MAX) : reading.offset;
    const buffer = Buffer.alloc(Math.min(size - from, READ_BYTES_MAX));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, from);
    const end = buffer.subarray(0, bytesRead).lastIndexOf('\n') + 1;
    // One line that fills everything is passed over rather than waited for without end.
    reading.offset = from + (end === 0 && bytesRead === READ_BYTES_MAX ? bytesRead : end);
    if (end === 0) return [];
    const lines = buffer.toString('utf8', 0, end - 1).split('\n');
    return isTail ? lines.slice(lines.length - Math.min(linesMax, lines.length)) : lines;
  } finally {
    await file.close();
  }
}
