import type { Positions } from '../../../contract/index.ts';
import type { ArchivedEvent } from '../offline/event-tables.ts';
import { type OnlineState, vectorValues, wholeState } from '../online/online-state.ts';
import type { Plan } from '../plan.ts';
import type { RowValues } from './offline.ts';
import type { Read } from './play.ts';
import { PARTITIONS } from './stream.ts';

/** A replay's state never drops an event. */
const KEEP_MS = 1e15;

/** A read as one state with every key has it, fed from the archive with what each group's owner knew: exact replay. */
export function recompute(plan: Plan, read: Read, archived: readonly ArchivedEvent[]): RowValues {
  const partitions = new Map([...plan.sources.keys()].map((name) => [name, PARTITIONS]));
  const states = new Map<string, OnlineState>();
  const results = read.vector.groups.map((_, index) => {
    const positions = read.positions[index] ?? {};
    const known = JSON.stringify(positions);
    let state = states.get(known);
    if (state === undefined)
      states.set(known, (state = stateAt(wholeState(plan, partitions, KEEP_MS), archived, positions)));
    return state.readGroups(read.vector, read.event, read.asOf, (group) => group === index)[index] ?? null;
  });
  return vectorValues(read.vector, read.event, results);
}

function stateAt(state: OnlineState, archived: readonly ArchivedEvent[], positions: Positions): OnlineState {
  for (const { source, partition, offset, event } of archived)
    if (offset < (positions[source]?.[partition] ?? 0)) state.apply(source, partition, offset, event);
  return state;
}
