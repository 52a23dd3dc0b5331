import { plainRecord } from './records.ts';
import { restingStep, type Step, type Stream } from './stream.ts';
import type { Subject } from './subject.ts';

/** Most rounds of attempts on the way to a small stream. */
const ROUNDS_MAX = 80;

/** Which of the streams still fail. */
export type Failing = (streams: readonly Stream[]) => Promise<readonly boolean[]>;

/**
 * A small stream that still fails: steps are left out, first in large pieces and then one by one, and what is left of them
 * is made plain. All attempts of a round are made at once, and what succeeded is then tried together. Deterministic: the same
 * stream ends at the same case.
 */
export async function minimise(subject: Subject, stream: Stream, failing: Failing): Promise<Stream> {
  const reducer = new Reducer(stream, failing);
  for (let isSmaller = true; isSmaller;) {
    isSmaller = false;
    for (
      let size = Math.ceil(reducer.keys.length / 2);
      size >= 1;
      size = size === 1 ? 0 : Math.ceil(size / 2)
    ) {
      while (await reducer.attempt(dropsOf(reducer.keys, size))) isSmaller = true;
    }
    while (await reducer.attempt(plainChanges(subject, reducer))) isSmaller = true;
  }
  return reducer.stream;
}

/** A step under a name that it keeps while others are dropped. */
interface Named {
  readonly key: number;
  readonly step: Step;
}

interface Draft {
  readonly salt: number;
  readonly clock: Stream['clock'];
  readonly steps: readonly Named[];
}

type Change = (draft: Draft) => Draft;

class Reducer {
  readonly #failing: Failing;
  #draft: Draft;
  #rounds = 0;

  constructor(stream: Stream, failing: Failing) {
    this.#failing = failing;
    this.#draft = { ...stream, steps: stream.steps.map((step, key) => ({ key, step })) };
  }

  get keys(): number[] {
    return this.#draft.steps.map(({ key }) => key);
  }

  get steps(): readonly Named[] {
    return this.#draft.steps;
  }

  get stream(): Stream {
    return streamOf(this.#draft);
  }

  /** Makes the changes that leave it failing: all of them if they can be made together, else half, else one. */
  async attempt(changes: readonly Change[]): Promise<boolean> {
    if (this.#rounds >= ROUNDS_MAX) return false;
    this.#rounds += 1;
    const before = JSON.stringify(this.stream);
    const real = changes.filter((change) => JSON.stringify(streamOf(change(this.#draft))) !== before);
    if (real.length === 0) return false;
    const fails = await this.#failing(real.map((change) => streamOf(change(this.#draft))));
    let good = real.filter((_, index) => fails[index]);
    while (good.length > 0) {
      const together = good.reduce((draft, change) => change(draft), this.#draft);
      const isDone = good.length === 1 || (await this.#failing([streamOf(together)]))[0] === true;
      if (isDone) {
        this.#draft = together;
        return true;
      }
      good = good.slice(0, Math.ceil(good.length / 2));
    }
    return false;
  }
}

function streamOf(draft: Draft): Stream {
  return { salt: draft.salt, clock: draft.clock, steps: draft.steps.map(({ step }) => step) };
}

/** Each piece of `size` steps is dropped: with its time, or so that the steps after it stay where they are. */
function dropsOf(keys: readonly number[], size: number): Change[] {
  const changes: Change[] = [];
  for (let end = keys.length; end > 0; end -= size) {
    const piece = new Set(keys.slice(Math.max(0, end - size), end));
    changes.push(
      (draft) => ({ ...draft, steps: draft.steps.filter(({ key }) => !piece.has(key)) }),
      (draft) => dropKeepingTime(draft, piece),
    );
  }
  return changes;
}

function dropKeepingTime(draft: Draft, piece: ReadonlySet<number>): Draft {
  const steps: Named[] = [];
  let wait = 0;
  for (const { key, step } of draft.steps) {
    if (piece.has(key)) {
      wait += step.wait;
      continue;
    }
    steps.push({ key, step: wait === 0 ? step : { ...step, wait: step.wait + wait } });
    wait = 0;
  }
  return { ...draft, steps };
}

const UNITS_MS = [1_000, 60_000, 3_600_000, 86_400_000];

/** Whatever could be plainer, the plainest last: it stands where two succeed. */
function plainChanges(subject: Subject, reducer: Reducer): Change[] {
  const changes: Change[] = [(draft) => ({ ...draft, salt: 0 }), (draft) => ({ ...draft, clock: 'wall' })];
  for (const { key, step } of reducer.steps) {
    const change = (make: (step: Step) => Partial<Step>): void => {
      changes.push((draft) => ({
        ...draft,
        steps: draft.steps.map((item) =>
          item.key === key ? { key, step: { ...item.step, ...make(item.step) } } : item,
        ),
      }));
    };
    for (const name of ['wait', 'late'] as const)
      for (const unit of UNITS_MS) change((old) => ({ [name]: Math.trunc(old[name] / unit) * unit }));
    const resting = restingStep(step.what);
    for (const name of ['back', 'isOnGrid', 'isAligned', 'pick', 'flag', 'late', 'wait'] as const)
      change(() => ({ [name]: resting[name] }));
    const source = subject.plan.sources.get(step.source)?.source;
    if (source === undefined) continue;
    for (const [name, value] of Object.entries(plainRecord(subject, source)))
      if (name in step.record) change((old) => ({ record: { ...old.record, [name]: value } }));
  }
  return changes;
}
