import {
  DAY_MS,
  Decider,
  type DecisionAnswer,
  grouped,
  millisecondsText,
  paced,
  rememberWorld,
  type RunTools,
  versionOf,
} from '@tandem-examples/driver';
import { amount, isFraud, type Transaction, transactionRecord } from '../transaction.ts';
import type { World } from '../world.ts';
import { HistoryProgress } from './history.ts';
import { recordsFrom, recordsUntil, SPEED } from './live-stream.ts';
import type { RunOptions } from './options.ts';
import { RecordSender } from './record-sender.ts';
import { TRANSACTIONS } from './record-stream.ts';
import { DECISION, REVIEW } from './score.ts';
import { HISTORY_DAYS, simulatedWorld } from './simulated-world.ts';
import { MODELS, trainEntry } from './training.ts';

const STATUS_MS = 5_000;
/** At most one accepted transaction is shown in this time. */
const SHOW_ACCEPTED_MS = 3_000;

/**
 * Plays a simulated world through the product until the signal is aborted. Goes on where an earlier run
 * ended.
 */
export async function runLive(options: RunOptions, tools: RunTools): Promise<void> {
  const { platform, product, timeline, signal } = tools;
  await rememberWorld(options, 'fraud-world.json', { seed: options.seed });
  timeline.say('start', 'starting the product: all services in one process, and its database');
  await timeline.phase('start', () => product.start({ fresh: options.fresh }));
  timeline.say(
    'start',
    `the product is ready at ${product.url}, its log is ${product.logPath ?? 'elsewhere'}`,
  );
  const world = simulatedWorld(options.seed);
  const known = await platform.currentRelease(DECISION);
  if (signal.aborted) return;
  if (known === undefined) {
    await prepare(world, tools);
    if (signal.aborted) return;
    await new LiveRun(world, tools).run(world.startMs + HISTORY_DAYS * DAY_MS);
  } else {
    const clock = await platform.clock();
    timeline.say(
      'resume',
      `at ${minute(clock)} of simulated time; ${known.id} is in charge of '${DECISION}'`,
    );
    await new LiveRun(world, tools).run(clock);
  }
}

/** Sends the history, trains the model that answers, and puts it in charge. */
async function prepare(world: World, tools: RunTools): Promise<void> {
  const { platform, timeline, signal } = tools;
  const endMs = world.startMs + HISTORY_DAYS * DAY_MS;
  timeline.say(
    'simulate',
    `${grouped(world.customers)} customers, ${grouped(world.terminals)} terminals, ` +
      `${String(HISTORY_DAYS)} days of history until ${minute(endMs).slice(0, 10)}`,
  );
  const sender = new RecordSender(platform);
  const progress = new HistoryProgress(timeline, sender);
  for (const record of recordsUntil(world, endMs)) {
    const busy = sender.push(record);
    if (busy === undefined) continue;
    await busy;
    progress.tick();
    if (signal.aborted) return;
  }
  await sender.drain();
  progress.end();
  const [entry] = MODELS;
  const run = await trainEntry(platform, timeline, { entry, asOf: endMs });
  if (signal.aborted) return;
  const release = await platform.release(DECISION, versionOf(entry.model, run), 'the first model');
  timeline.say(
    'release',
    `${release.id}: ${release.model} version ${String(release.version)} answers '${DECISION}'`,
  );
}

class LiveRun {
  readonly #world: World;
  readonly #tools: RunTools;
  readonly #decider: Decider;
  readonly #sender: RecordSender;
  /** Decisions on frauds that are not reported yet. */
  readonly #unreported = new Map<number, DecisionAnswer>();
  #decided = 0;
  #frauds = 0;
  #caught = 0;
  #shownAcceptedAt = -Infinity;

  constructor(world: World, tools: RunTools) {
    this.#world = world;
    this.#tools = tools;
    this.#decider = new Decider({ ...tools, decision: DECISION, concurrency: 1 });
    this.#sender = new RecordSender(tools.platform);
  }

  async run(fromMs: number): Promise<void> {
    const { timeline, product, platform, signal } = this.#tools;
    const release = await platform.currentRelease(DECISION);
    const [first] = recordsFrom(this.#world, fromMs);
    if (release !== undefined && first !== undefined)
      await this.#decider.waitForRelease(release.id, transactionRecord(first.transaction));
    timeline.say(
      'live',
      `simulated time goes ${String(SPEED)} times faster; frauds are reported after six days; Ctrl-C ends`,
    );
    const status = setInterval(() => this.#status(), STATUS_MS);
    try {
      if (fromMs === this.#world.startMs + HISTORY_DAYS * DAY_MS) void this.#trainOther(fromMs);
      for await (const record of paced(recordsFrom(this.#world, fromMs), { speed: SPEED, signal })) {
        await product.up();
        if (record.source === TRANSACTIONS) await this.#decide(record.transaction);
        else this.#reported(record.transaction);
        await this.#sender.send([record]);
      }
    } finally {
      clearInterval(status);
    }
  }

  /** The second model is trained while the first one answers already. */
  async #trainOther(asOf: number): Promise<void> {
    const { platform, timeline, signal } = this.#tools;
    const [, entry] = MODELS;
    try {
      await trainEntry(platform, timeline, { entry, asOf });
    } catch (error) {
      if (!signal.aborted) timeline.say('train', (error as Error).message);
    }
  }

  async #decide(transaction: Transaction): Promise<void> {
    const { timeline } = this.#tools;
    const answer = await this.#decider.decide(transactionRecord(transaction));
    if (answer === undefined) {
      timeline.say('failed', `${describe(transaction)}: ${this.#decider.firstFailure ?? ''}`);
      return;
    }
    this.#decided += 1;
    if (isFraud(transaction)) {
      this.#frauds += 1;
      if (answer.outcome === REVIEW) this.#caught += 1;
      this.#unreported.set(transaction.id, answer);
    }
    if (this.#decided === 1) {
      timeline.say('first', `the first decision came ${timeline.elapsed.toFixed(1)} s after the start:`);
      this.#show(transaction, answer);
      timeline.say(
        '',
        `replay it:  npm run tandem -- replay ${answer.decisionId}${this.#tools.commandOptions}`,
      );
    } else if (answer.outcome === REVIEW || performance.now() - this.#shownAcceptedAt > SHOW_ACCEPTED_MS) {
      this.#show(transaction, answer);
    }
  }

  #show(transaction: Transaction, answer: DecisionAnswer): void {
    if (answer.outcome !== REVIEW) this.#shownAcceptedAt = performance.now();
    const { score, outcome, decisionId } = answer;
    this.#tools.timeline.say(
      'decide',
      `${describe(transaction)}  score ${score.toFixed(3)}  ${outcome}  ${decisionId}`,
    );
  }

  #reported(transaction: Transaction): void {
    const answer = this.#unreported.get(transaction.id);
    if (answer === undefined) return;
    this.#unreported.delete(transaction.id);
    const verdict = answer.outcome === REVIEW ? 'was sent to review' : 'was missed';
    this.#tools.timeline.say(
      'report',
      `${describe(transaction)}  was fraud, ${verdict} with score ${answer.score.toFixed(3)}  ${answer.decisionId}`,
    );
  }

  #status(): void {
    const latencies = this.#decider.takeLatencies();
    if (latencies.count === 0) return;
    this.#tools.timeline.say(
      'status',
      `${(latencies.count / (STATUS_MS / 1_000)).toFixed(1)} decisions/s, p50 ${millisecondsText(latencies.quantile(0.5))}, ` +
        `p99 ${millisecondsText(latencies.quantile(0.99))}; ${grouped(this.#decided)} so far, ` +
        `${grouped(this.#caught)} of ${grouped(this.#frauds)} frauds sent to review`,
    );
  }
}

function describe(transaction: Transaction): string {
  const { id, customer, terminal, cents } = transaction;
  return (
    `${String(id)}  customer ${String(customer).padEnd(4)} terminal ${String(terminal).padEnd(5)} ` +
    `${amount(cents).padStart(8)} EUR`
  );
}

function minute(time: number): string {
  return `${new Date(time).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
