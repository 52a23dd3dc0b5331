import { writeFile } from 'node:fs/promises';

export async function writeReport(path: string, report: unknown): Promise<void> {
  await writeFile(path, `${JSON.stringify(report, null, 2)}\n`);
}

/** Rows of a name and a text, as a table to read. */
export function table(rows: readonly (readonly [name: string, text: string])[]): string {
  return rows.map(([name, text]) => `  ${name.padEnd(12)} ${text}\n`).join('');
}

/** A number with three decimals, a dash for what is not known. */
export function metricText(value: number | null): string {
  return value === null ? '-' : value.toFixed(3);
}

export function secondsText(value: number | null): string {
  return value === null ? '-' : `${value.toFixed(1)} s`;
}

export function millisecondsText(value: number | null): string {
  return value === null ? '-' : `${value.toFixed(1)} ms`;
}

/** Seconds by phase, in one line. */
export function phasesText(seconds: Readonly<Record<string, number>>): string {
  return Object.entries(seconds)
    .map(([phase, spent]) => `${phase} ${secondsText(spent)}`)
    .join(', ');
}

/** @param mb the largest sum of resident memory in MiB, null where it is not known. */
export function memoryText(mb: number | null): string {
  return mb === null ? 'not known on this system' : `${Math.round(mb).toLocaleString('en-US')} MiB at most`;
}
