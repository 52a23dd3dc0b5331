import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { HttpClient } from './http-client.ts';
import { MemorySampler } from './memory-sampler.ts';
import { type CommonOptions, type Places, UsageError } from './options.ts';
import { Platform } from './platform.ts';
import { GivenProduct, type Product } from './product.ts';
import { ProductProcess } from './product-process.ts';
import { writeReport } from './report.ts';
import { Timeline } from './timeline.ts';

/** The repository. */
const ROOT = resolve(import.meta.dirname, '..', '..');

/** Exit codes: done, failed, wrong use. */
const DONE = 0;
const FAILED = 1;
const WRONG_USE = 2;
/** How long what is under way may take when the run is interrupted, in milliseconds. */
const FINISH_MS_MAX = 2_000;

/** What a run works with. */
export interface RunTools {
  readonly platform: Platform;
  readonly product: Product;
  readonly timeline: Timeline;
  readonly memory: MemorySampler;
  /** Ends the run. */
  readonly signal: AbortSignal;
  /** What `tandem` needs on its command line besides an id to find the product. */
  readonly commandOptions: string;
}

export interface OnceResult<TReport> {
  readonly report: TReport;
  /** What was not as it must be, in words. */
  readonly violations: readonly string[];
}

/** An example, as far as its runs are concerned. */
export interface Example<TOptions extends CommonOptions, TReport> {
  /** Name of its folder below `examples`, and of the product's log. */
  readonly name: string;
  /** How it is started, for people. */
  readonly command: string;
  readonly usage: string;
  /** The module of the app that the product is started with. */
  readonly app: (options: TOptions) => string;
  /** Variables of the product's environment; default: none of its own. */
  readonly environment?: (options: TOptions) => Readonly<Record<string, string>>;
  /** @throws UsageError */
  readonly parse: (args: readonly string[], places: Places) => TOptions;
  /** A run that goes on until the signal is aborted. It starts the product. */
  readonly live: (options: TOptions, tools: RunTools) => Promise<void>;
  /** A bounded run. It starts the product. */
  readonly once: (options: TOptions, tools: RunTools) => Promise<OnceResult<TReport>>;
  /** The report as a table to read. */
  readonly summarise: (report: TReport) => string;
}

/**
 * Runs an example with the arguments of this process and ends the process: 0 done, 1 failed or a check was
 * violated, 2 wrong use.
 */
export async function runExample<TOptions extends CommonOptions, TReport>(
  example: Example<TOptions, TReport>,
): Promise<never> {
  const exitCode = await parseAndRun(example);
  // Requests that nobody waits for any more must not keep the process.
  process.exit(exitCode);
}

async function parseAndRun<TOptions extends CommonOptions, TReport>(
  example: Example<TOptions, TReport>,
): Promise<number> {
  let options: TOptions;
  try {
    options = example.parse(process.argv.slice(2), {
      root: ROOT,
      cwd: process.env['INIT_CWD'] ?? process.cwd(),
    });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n\n${example.usage}`);
    return WRONG_USE;
  }
  if (options.help) {
    process.stdout.write(example.usage);
    return DONE;
  }
  return run(example, options);
}

async function run<TOptions extends CommonOptions, TReport>(
  example: Example<TOptions, TReport>,
  options: TOptions,
): Promise<number> {
  const timeline = new Timeline();
  const product = productOf(example, options);
  using client = new HttpClient(product);
  using memory = new MemorySampler();
  const stopped = new AbortController();
  const interrupted = Promise.withResolvers<'interrupted'>();
  const interrupt = (): void => {
    if (stopped.signal.aborted) process.exit(FAILED);
    timeline.say('stop', 'stopping the product; once more Ctrl-C does not wait for it');
    stopped.abort();
    interrupted.resolve('interrupted');
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  process.on('exit', () => product.abandon());
  const tools: RunTools = {
    platform: new Platform(client),
    product,
    timeline,
    memory,
    signal: stopped.signal,
    // The folder that the command line takes by itself need not be named.
    commandOptions: options.dataDir === join(ROOT, '.tandem') ? '' : ` --data-dir ${options.dataDir}`,
  };
  try {
    if (!options.once) {
      const live = example.live(options, tools);
      await Promise.race([live, interrupted.promise]);
      // What is under way is finished before the product is stopped.
      await Promise.race([live, sleep(FINISH_MS_MAX)]);
      return DONE;
    }
    const result = await Promise.race([example.once(options, tools), interrupted.promise]);
    if (result === 'interrupted') return FAILED;
    const { report, violations } = result;
    timeline.raw(`\n${example.summarise(report)}`);
    if (options.report !== undefined) await writeReport(options.report, report);
    for (const violation of violations) timeline.say('FAILED', violation);
    return violations.length === 0 ? DONE : FAILED;
  } catch (error) {
    // An interrupted run fails in whatever it was doing.
    if (stopped.signal.aborted) return options.once ? FAILED : DONE;
    timeline.say('FAILED', error instanceof Error ? error.message : String(error));
    return FAILED;
  } finally {
    await product.stop();
    timeline.say(
      'end',
      `the data is in ${options.dataDir}${options.once ? '' : `; ${example.command} goes on from there`}`,
    );
  }
}

function productOf<TOptions extends CommonOptions, TReport>(
  example: Example<TOptions, TReport>,
  options: TOptions,
): Product {
  const { dataDir, port, replicas, url } = options;
  if (url !== undefined) return new GivenProduct(url, dataDir);
  return new ProductProcess({
    root: ROOT,
    app: example.app(options),
    name: example.name,
    clock: 'event',
    environment: example.environment?.(options) ?? {},
    dataDir,
    port,
    replicas,
  });
}
