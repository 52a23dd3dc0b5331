import { setTimeout as sleep } from 'node:timers/promises';
import { isRepeatable, ProblemError } from './http-client.ts';
import { Latencies } from './latencies.ts';
import type { DecisionAnswer, Platform } from './platform.ts';

/** How long a new release may take to reach the part that decides, in milliseconds. */
const RELEASE_MS_MAX = 10_000;

/** What the decider must know of the product: whether it is down on purpose, and when it is up again. */
interface Liveness {
  readonly isDown: boolean;
  up(): Promise<void>;
}

export interface DeciderOptions {
  readonly platform: Platform;
  readonly product: Liveness;
  /** Name of the app's decision. */
  readonly decision: string;
  /** Requests at once. */
  readonly concurrency: number;
}

/** Asks for decisions, many at once, and measures how long each answer takes. Requests are JSON texts. */
export class Decider {
  readonly #platform: Platform;
  readonly #product: Liveness;
  readonly #decision: string;
  readonly #concurrency: number;
  #latencies = new Latencies();
  failed = 0;
  firstFailure: string | undefined;
  /** Ids of the first decision and of some later ones, spread over all. */
  readonly samples: string[] = [];
  #nextSample = 0;

  constructor(options: DeciderOptions) {
    this.#platform = options.platform;
    this.#product = options.product;
    this.#decision = options.decision;
    this.#concurrency = options.concurrency;
  }

  /** How long each answered decision took since the last {@link takeLatencies}. */
  get latencies(): Latencies {
    return this.#latencies;
  }

  /** Hands over the latencies and begins anew. */
  takeLatencies(): Latencies {
    const taken = this.#latencies;
    this.#latencies = new Latencies();
    return taken;
  }

  /** Decides on each. Answers are in the same order; undefined where there is none. */
  async decideAll(records: readonly string[]): Promise<(DecisionAnswer | undefined)[]> {
    const answers: (DecisionAnswer | undefined)[] = records.map(() => undefined);
    const queue = records.entries();
    const worker = async (): Promise<void> => {
      for (const [index, record] of queue) answers[index] = await this.decide(record);
    };
    await Promise.all(Array.from({ length: Math.min(this.#concurrency, records.length) }, worker));
    return answers;
  }

  /**
   * Decides on one. A failure counts and is not repeated, unless the product was killed on purpose: then the
   * decision is asked for again when it is back.
   */
  async decide(record: string): Promise<DecisionAnswer | undefined> {
    for (;;) {
      const began = performance.now();
      try {
        const answer = await this.#platform.decide(this.#decision, record);
        this.#keep(answer, performance.now() - began);
        return answer;
      } catch (error) {
        if (isRepeatable(error) && this.#product.isDown) {
          await this.#product.up();
          continue;
        }
        this.failed += 1;
        this.firstFailure ??= (error as Error).message;
        return undefined;
      }
    }
  }

  /** Waits until a new release has reached the part that decides. Its decision is not measured. */
  async waitForRelease(release: string, record: string): Promise<void> {
    const deadline = performance.now() + RELEASE_MS_MAX;
    for (let answered: string | undefined; answered !== release;) {
      try {
        answered = (await this.#platform.decide(this.#decision, record)).release;
      } catch (error) {
        if (!(error instanceof ProblemError && isRepeatable(error))) throw error;
      }
      if (answered === release) return;
      if (performance.now() > deadline) {
        throw new Error(
          `Release ${release} does not answer ${String(RELEASE_MS_MAX / 1_000)} s after it was made`,
        );
      }
      await sleep(20);
    }
  }

  #keep(answer: DecisionAnswer, ms: number): void {
    this.#latencies.add(ms);
    if (this.#latencies.count <= this.#nextSample) return;
    this.samples.push(answer.decisionId);
    this.#nextSample = this.#latencies.count * 4;
  }
}
