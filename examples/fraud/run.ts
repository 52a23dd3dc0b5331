import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { HttpClient } from './driver/http-client.ts';
import { runLive } from './driver/live.ts';
import { MemorySampler } from './driver/memory-sampler.ts';
import { runOnce } from './driver/once.ts';
import { parseOptions, type RunOptions, USAGE, UsageError } from './driver/options.ts';
import { Platform } from './driver/platform.ts';
import { GivenProduct, type Product } from './driver/product.ts';
import { ProductProcess } from './driver/product-process.ts';
import { summarise, writeReport } from './driver/report.ts';
import { Timeline } from './driver/timeline.ts';

/** The repository. */
const ROOT = resolve(import.meta.dirname, '..', '..');

/** Exit codes: done, failed, wrong use. */
const DONE = 0;
const FAILED = 1;
const WRONG_USE = 2;
/** How long a decision under way may take when the run is interrupted, in milliseconds. */
const FINISH_MS_MAX = 2_000;

async function main(): Promise<number> {
  let options: RunOptions;
  try {
    options = parseOptions(process.argv.slice(2), {
      root: ROOT,
      cwd: process.env['INIT_CWD'] ?? process.cwd(),
    });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n\n${USAGE}`);
    return WRONG_USE;
  }
  if (options.help) {
    process.stdout.write(USAGE);
    return DONE;
  }
  return run(options);
}

async function run(options: RunOptions): Promise<number> {
  const timeline = new Timeline();
  const { dataDir, port, replicas, url } = options;
  const product: Product =
    url === undefined
      ? new ProductProcess({ root: ROOT, dataDir, port, replicas })
      : new GivenProduct(url, dataDir);
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
  const tools = {
    platform: new Platform(client),
    product,
    timeline,
    memory,
    signal: stopped.signal,
    // The folder that the command line takes by itself need not be named.
    replayOptions: options.dataDir === join(ROOT, '.tandem') ? '' : ` --data-dir ${options.dataDir}`,
  };
  try {
    if (!options.once) {
      const live = runLive(options, tools);
      await Promise.race([live, interrupted.promise]);
      // What is under way is finished before the product is stopped.
      await Promise.race([live, sleep(FINISH_MS_MAX)]);
      return DONE;
    }
    const result = await Promise.race([runOnce(options, tools), interrupted.promise]);
    if (result === 'interrupted') return FAILED;
    const { report, violations } = result;
    timeline.raw(`\n${summarise(report)}`);
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
      `the data is in ${options.dataDir}${options.once ? '' : '; npm start goes on from there'}`,
    );
  }
}

const exitCode = await main();
// Requests that nobody waits for any more must not keep the process.
process.exit(exitCode);
