import { cpus, loadavg, totalmem } from 'node:os';
import { pathToFileURL } from 'node:url';

/** A goal that was set for a metric. */
export interface Goal {
  /** Name of one of the metrics. */
  readonly metric: string;
  readonly goal: number;
  /** Whether the value should be at least the goal or at most. Default `min`. */
  readonly bound?: 'min' | 'max';
}

/** What a benchmark measured. Names of metrics end in their unit. */
export interface Measurement {
  readonly metrics: Readonly<Record<string, number>>;
  readonly goals: readonly Goal[];
}

/** What a file `bench/NAME.ts` exports. */
export interface Benchmark {
  /** @param parameters what follows the name on the command line */
  measure(parameters?: readonly string[]): Promise<Measurement>;
}

/** Runs one benchmark and returns its line: `{"name", "metrics", "goals", "machine"}`. */
export async function report(
  name: string,
  benchmark: Benchmark,
  parameters: readonly string[] = [],
): Promise<string> {
  const loadBefore = loadavg()[0] ?? 0;
  const { metrics, goals } = await benchmark.measure(parameters);
  return JSON.stringify({
    name,
    metrics: Object.fromEntries(Object.entries(metrics).map(([metric, value]) => [metric, round(value)])),
    goals: goals.map(({ metric, goal, bound = 'min' }) => {
      const value = round(metrics[metric] ?? Number.NaN);
      return { metric, goal, value, met: bound === 'min' ? value >= goal : value <= goal };
    }),
    machine: {
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      cores: cpus().length,
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      platform: `${process.platform}-${process.arch}`,
      node: process.version,
      loadBefore: round(loadBefore),
    },
  });
}

/** Four significant digits: more would only be noise. */
function round(value: number): number {
  return Number(value.toPrecision(4));
}

async function main(name: string | undefined, parameters: readonly string[]): Promise<void> {
  if (name === undefined || !/^[a-z0-9-]+$/.test(name) || name === 'run') {
    console.error('usage: node bench/run.ts NAME [what it takes], for a file bench/NAME.ts');
    process.exitCode = 2;
    return;
  }
  console.log(await report(name, (await import(`./${name}.ts`)) as Benchmark, parameters));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [name, ...parameters] = process.argv.slice(2);
  await main(name, parameters);
}
