import { routes, type Schedule, type ScheduleRule } from '../../contract/index.ts';
import { type ClientOptions, openClient } from '../client.ts';
import { amount, type Output, table, when } from '../output.ts';

/** `tandem schedules`: when models are trained by themselves, and what came of it. */
export async function listSchedules(options: ClientOptions, output: Output): Promise<void> {
  await using client = await openClient(options);
  const { schedules } = await client.call(routes.listSchedules, { params: {}, query: {}, body: {} });
  output.result(schedules, () =>
    schedules.length === 0
      ? "No model is trained by itself: none has 'retrain' in its definition"
      : table(['MODEL', 'RULE', 'LAST DUE', 'NEXT DUE', 'LAST RUN', 'STATE'], schedules.flatMap(rowsOf)),
  );
}

/** `tandem schedules pause <model>` and `resume <model>`: stored, so that it holds whoever starts again. */
export async function changeSchedule(
  change: 'pause' | 'resume',
  model: string,
  { options, output }: { readonly options: ClientOptions; readonly output: Output },
): Promise<void> {
  await using client = await openClient(options);
  const route = change === 'pause' ? routes.pauseSchedule : routes.resumeSchedule;
  const schedule = await client.call(route, { params: { model }, query: {}, body: {} });
  output.result(schedule, () =>
    schedule.pausedAt === null
      ? `${model} is trained by its rules: ${schedule.rules.map(({ rule }) => rule).join(', ')}`
      : `${model} is paused since ${when(schedule.pausedAt)}: its rules queue no run`,
  );
}

function rowsOf(schedule: Schedule): string[][] {
  return schedule.rules.map((rule, index) => [
    index === 0 ? schedule.model : '',
    rule.rule,
    rule.lastDueAt === null ? '-' : when(rule.lastDueAt),
    nextOf(schedule, rule),
    ...(index === 0 ? lastRunOf(schedule) : ['', '']),
  ]);
}

function nextOf({ pausedAt, notBefore }: Schedule, { labels, nextDueAt, isDue }: ScheduleRule): string {
  if (pausedAt !== null) return `paused since ${when(pausedAt)}`;
  if (isDue) return notBefore === null ? 'now' : `now, but not before ${when(notBefore)}`;
  if (labels !== null) return `after ${amount(labels.dueAt - labels.seen)} more of ${labels.source}`;
  return nextDueAt === null ? '-' : when(nextDueAt);
}

function lastRunOf({ lastRun }: Schedule): string[] {
  if (lastRun === null) return ['-', '-'];
  const { id, state, version, error, reason = 'asked' } = lastRun;
  const result = version === null ? (error ?? '') : `version ${String(version)}`;
  return [`${id} (${reason})`, result === '' ? state : `${state}: ${result}`];
}
