import type { WarehouseSession } from '../../../runtime/index.ts';
import type { GroupPlan, SourcePlan } from '../plan.ts';
import { type ChosenPlan, choosePlan } from './choose-plan.ts';
import { groupSql, groupTable, type Knowledge, valuesOf } from './point-in-time.ts';
import { portionSql, portionsOf } from './portions.ts';
import { replayGroup } from './replay-group.ts';
import { stageGroup } from './staged-group.ts';

export interface GroupRequest {
  readonly group: GroupPlan;
  /** The source of the events being decided. */
  readonly candidate: SourcePlan;
  readonly knowledge: Knowledge;
  /** Table of the rows, as in {@link groupSql}. */
  readonly rows: string;
  /** Lets other work in. */
  readonly pause: () => Promise<void>;
  /** Events that a replay holds at a time, about: keys are taken in portions of so many. Default 200,000. */
  readonly portionEvents?: number;
  /** The way to compute it. Default: chosen by what the data is like. */
  readonly chosen?: ChosenPlan;
}

/**
 * Computes a group's features for every row into table `group_<index>`, as {@link groupSql} describes it, in the way that suits the
 * data; which one is returned. The values are the same in each, to the bit.
 */
export async function computeGroup(session: WarehouseSession, request: GroupRequest): Promise<ChosenPlan> {
  const { group: plan, candidate, knowledge, rows } = request;
  const chosen = request.chosen ?? (await choosePlan(session, plan, knowledge, rows));
  const source = candidate.source.name;
  switch (chosen.method) {
    case 'replay':
      await replayGroup(session, request);
      break;
    case 'join':
      await joinGroup(session, request);
      break;
    case 'near':
    case 'newest':
    case 'tiles': {
      const events = chosen.method === 'newest' ? 'newest' : 'near';
      await stageGroup(session, { plan, candidate: source, rows, events, tiled: chosen.tiled });
      break;
    }
  }
  return chosen;
}

/** By {@link groupSql}, for so many rows at a time as there is memory for. */
async function joinGroup(session: WarehouseSession, request: GroupRequest): Promise<void> {
  const { group: plan, knowledge, rows } = request;
  const source = request.candidate.source.name;
  const portions = await portionsOf(session, rows, valuesOf(plan).totals.all.length);
  if (portions === 1) {
    await session.run(groupSql(plan, source, knowledge, rows));
    return;
  }
  const table = groupTable(plan);
  for (let portion = 0; portion < portions; portion += 1) {
    await session.run(`create or replace temp view portion as
select * from ${rows} where ${portionSql('q', portion, portions)}`);
    await session.run(groupSql(plan, source, knowledge, 'portion', 'group_portion'));
    await session.run(
      portion === 0
        ? `create temp table ${table} as from group_portion`
        : `insert into ${table} from group_portion`,
    );
    await session.run('drop table group_portion');
  }
  await session.run('drop view portion');
}
