import { PlatformError } from '../../../contract/index.ts';
import type { ThreadContext } from '../../../runtime/index.ts';
import { compilePlan } from '../plan.ts';
import { LocalState } from './local-state.ts';
import type { Failure, Outcome, StateReply, StateRequest, StateThreadInput, ThreadRead } from './messages.ts';
import { unpackRecords } from './packed-records.ts';
import type { GroupRows } from './state-host.ts';

/**
 * The module of a thread that keeps a {@link LocalState}. Calls take effect in the order in which they come. What changes the
 * state must not fail halfway: then the thread ends, and its state is made anew.
 */
export function start(input: unknown, context: ThreadContext): (message: unknown) => Promise<void> {
  const { definitions, options } = input as StateThreadInput;
  const state = new LocalState(compilePlan(definitions), options, {
    sliceMs: Number.POSITIVE_INFINITY,
    monotonic: () => 0,
    turn: () => context.turn(),
  });
  return async (message) => {
    const request = message as StateRequest;
    state.advance(request.clock);
    const value = await answer(state, request);
    const reply: StateReply = { id: request.id, clock: state.clock, value };
    context.post(reply, buffersOf(value));
  };
}

async function answer(state: LocalState, request: StateRequest): Promise<unknown> {
  switch (request.call) {
    case 'apply':
      await state.apply(request.ask.source, unpackRecords(request.ask.records));
      return null;
    case 'applyArchived':
      await state.applyArchived(request.ask);
      return null;
    case 'skip': {
      const { source, partition, to } = request.ask;
      await state.skip(source, partition, 0, to);
      return null;
    }
    case 'attach': {
      const { partition, snapshot } = request.ask;
      const refusal = await state.attach(partition, snapshot);
      return { refusal, gaps: state.gaps(partition), from: state.takesFrom(partition) };
    }
    case 'detach':
      state.detach(request.ask);
      return null;
    case 'catchUp': {
      const { partitions, source, to, batches } = request.ask;
      await state.catchUp(partitions, source, { to, batches: batches.map(unpackRecords) });
      return partitions.map((partition) => state.gaps(partition));
    }
    case 'catchUpArchived': {
      const { partitions, rows, to } = request.ask;
      await state.catchUpArchived(partitions, rows, to);
      return partitions.map((partition) => state.gaps(partition));
    }
    case 'read':
      // Each by itself: one that is refused is no matter of the others. They begin in their order, and none of them waits.
      return Promise.all(request.ask.map((read) => outcomeOf(state, read)));
    case 'restoreCore': {
      const refusal = await state.restoreCore(request.ask);
      return { refusal, positions: state.allPositions() };
    }
    case 'expire':
      await state.expire();
      return null;
    case 'saveShard':
      return state.saveShard(request.ask.partition, request.ask.epoch);
    case 'saveCore':
      return state.saveCore();
    case 'facts': {
      const names = [...state.plan.sources.keys()];
      return {
        duplicates: new Map(names.map((name) => [name, state.duplicates(name)])),
        ids: new Map(names.map((name) => [name, state.ids(name)])),
        sizes: state.sizes(),
      };
    }
  }
}

async function outcomeOf(state: LocalState, read: ThreadRead): Promise<Outcome<GroupRows>> {
  const { vector, asks, at, clock } = read;
  try {
    const plan = state.plan.vectors.get(vector);
    if (plan === undefined) throw new PlatformError('INTERNAL', `This thread has no vector '${vector}'`);
    if (clock !== undefined) state.advance(clock);
    return { value: await state.read(plan, asks, at) };
  } catch (error) {
    return { failure: failureOf(error) };
  }
}

function failureOf(error: unknown): Failure {
  if (!PlatformError.is(error)) return { code: 'INTERNAL', message: String(error), details: undefined };
  return { code: error.code, message: error.message, details: error.details };
}

/** What a snapshot lies in is given away, not copied. */
function buffersOf(value: unknown): readonly ArrayBuffer[] {
  if (typeof value !== 'object' || value === null || !('bytes' in value)) return [];
  const { bytes } = value;
  return bytes instanceof Uint8Array && bytes.buffer instanceof ArrayBuffer ? [bytes.buffer] : [];
}
