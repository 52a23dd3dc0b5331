import { performance } from 'node:perf_hooks';
import type { PlatformError } from '../../contract/index.ts';
import { amount } from '../output.ts';
import type { RecordFile } from './records.ts';
import type { Totals } from './sender.ts';

/** How far a file is, for somebody who watches. */
export class Progress {
  readonly #file: RecordFile;
  readonly #totals: Totals;
  readonly #name: string;
  readonly #begunMs: number = performance.now();
  readonly #countBefore: number;
  #readBefore: number | undefined;

  constructor(file: RecordFile, totals: Totals, path: string) {
    this.#file = file;
    this.#totals = totals;
    this.#countBefore = totals.accepted + totals.quarantined;
    this.#name = path.split('/').at(-1) ?? path;
  }

  /** Share, records, rate and the time that is left at that rate. */
  text(): string {
    const { size, read } = this.#file;
    const seconds = Math.max(1e-3, (performance.now() - this.#begunMs) / 1_000);
    const count = this.#totals.accepted + this.#totals.quarantined - this.#countBefore;
    const parts = [`${amount(count)} records`, `${amount(Math.round(count / seconds))}/s`];
    // What earlier runs sent took none of this run's time.
    this.#readBefore ??= read;
    const moved = read - this.#readBefore;
    if (size !== undefined && size > 0) {
      parts.unshift(`${String(Math.min(100, Math.round((read / size) * 100)))} %`);
      if (moved > 0) parts.push(`${left(((size - read) / moved) * seconds)} left`);
    }
    return `${this.#name}: ${parts.join(', ')}`;
  }

  /** Why nothing moves. */
  waiting({ code }: PlatformError, pauseMs: number): string {
    return `${this.#name}: the server says ${code}; trying again in ${(pauseMs / 1_000).toFixed(1)} s`;
  }
}

/** A length of time for people. */
export function left(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${String(whole)} s`;
  if (whole < 3_600) return `${String(Math.floor(whole / 60))} min ${String(whole % 60)} s`;
  return `${String(Math.floor(whole / 3_600))} h ${String(Math.floor((whole % 3_600) / 60))} min`;
}
