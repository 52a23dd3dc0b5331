import { setTimeout as sleep } from 'node:timers/promises';
import { grouped, type Platform, type Timeline } from '@tandem-examples/driver';
import { BATCH_MS, type Clinic, MATURITY_MS } from '../clinic.ts';
import type { CaseLog, DecidedCase } from './case-log.ts';
import { CASES, FINDINGS } from './names.ts';
import type { Reception } from './reception.ts';
import type { Report } from './report.ts';
import type { ReviewDesk } from './review-desk.ts';

/** How long counts may take to be known when everything was sent, in milliseconds. */
const SETTLE_MS_MAX = 120_000;
const POLL_MS = 100;
/** Decisions that are explained and replayed again at the end, spread over all. */
const SAMPLES_MAX = 100;
/** Contributions add up to the margin within this. */
const SUM_DIFFERENCE_MAX = 1e-9;

/** What was found, and in words what was not as it must be. */
export interface Checked<TFound> {
  readonly found: TFound;
  readonly violations: readonly string[];
}

/** No case and no finding is lost, none is kept twice, none is refused. */
export async function checkCounts(
  platform: Platform,
  reception: Reception,
  desk: ReviewDesk,
): Promise<Checked<Pick<Report, 'cases' | 'findings'>>> {
  const violations: string[] = [];
  const cases = await countsOf(platform, CASES);
  const findings = await countsOf(platform, FINDINGS);
  const sent = reception.sent;
  const expected = { [CASES]: sent[CASES], [FINDINGS]: sent[FINDINGS] + desk.answered };
  for (const [source, { kept }] of [[CASES, cases] as const, [FINDINGS, findings] as const]) {
    if (kept !== expected[source])
      violations.push(`${source}: ${grouped(expected[source])} were given, ${grouped(kept)} are kept`);
  }
  if (cases.quarantined + findings.quarantined > 0)
    violations.push(`records are in quarantine, the first: ${reception.firstRefusal ?? '-'}`);
  return {
    violations,
    found: {
      cases: { sent: sent[CASES], ...cases },
      findings: { sent: sent[FINDINGS], fromReviews: desk.answered, ...findings },
    },
  };
}

async function countsOf(
  platform: Platform,
  source: string,
): Promise<{ readonly kept: number; readonly quarantined: number }> {
  const deadline = performance.now() + SETTLE_MS_MAX;
  for (;;) {
    const { accepted, duplicates, quarantined, lag } = await platform.source(source);
    if (lag === 0 && duplicates !== null) return { kept: accepted - duplicates, quarantined };
    if (performance.now() > deadline)
      throw new Error(`${source}: not all records are applied after ${String(SETTLE_MS_MAX / 1_000)} s`);
    await sleep(POLL_MS);
  }
}

/** Once all labels have matured, every case has one, and each is what the case turned out to be. */
export async function checkLabels(platform: Platform, clinic: Clinic): Promise<readonly string[]> {
  const { cases, file, startMs } = clinic;
  const toMs = startMs + Math.ceil(((cases.at(-1)?.at ?? startMs) - startMs + 1) / BATCH_MS) * BATCH_MS;
  const dataset = await platform.buildDataset({
    vector: file.vector,
    label: file.findings.positive,
    fromMs: startMs,
    toMs,
    knowledge: 'latest',
    asOf: toMs + MATURITY_MS,
  });
  const positives = cases.filter(({ known }) => known.isPositive).length;
  const { censored, unconfirmed = 0 } = dataset;
  const isRight = dataset.rows === cases.length && dataset.positives === positives;
  return isRight && censored === 0 && unconfirmed === 0
    ? []
    : [
        `of ${grouped(cases.length)} cases with ${grouped(positives)} positive ones, ${grouped(dataset.rows)} have a label, ` +
          `${grouped(dataset.positives)} a positive one; ${grouped(censored)} are censored, ${grouped(unconfirmed)} unconfirmed`,
      ];
}

/** Explanations add up, name the reasons that came with the answer, and order cases as their scores do. */
export async function checkExplanations(
  platform: Platform,
  log: CaseLog,
): Promise<Checked<Report['explanations']>> {
  const violations: string[] = [];
  const byVersion = new Map<number, { score: number; margin: number }[]>();
  let differenceMax = 0;
  const chosen = spread(log.decided);
  for (const { answer, version } of chosen) {
    const { base, margin, score, inputs } = await platform.explain(answer.decisionId);
    const sum = inputs.reduce((total, { contribution }) => total + contribution, base);
    const difference = Math.abs(sum - margin);
    differenceMax = Math.max(differenceMax, difference);
    if (!(difference <= SUM_DIFFERENCE_MAX) || score !== answer.score)
      violations.push(
        `decision ${answer.decisionId}: contributions add up to ${String(sum)}, the margin is ${String(margin)}`,
      );
    for (const [index, reason] of (answer.reasons ?? []).entries()) {
      const input = inputs[index];
      if (input?.input !== reason.input || input.contribution !== reason.contribution)
        violations.push(
          `decision ${answer.decisionId}: reason ${String(index + 1)} is ${reason.input}, explained otherwise`,
        );
    }
    if (answer.reasons === undefined) violations.push(`decision ${answer.decisionId} came without reasons`);
    const scores = byVersion.get(version) ?? [];
    scores.push({ score, margin });
    byVersion.set(version, scores);
  }
  for (const [version, scores] of byVersion) {
    const sorted = scores.toSorted((one, other) => one.margin - other.margin);
    if (sorted.some(({ score }, index) => score < (sorted[index - 1]?.score ?? 0)))
      violations.push(`version ${String(version)}: a higher margin has a lower score`);
  }
  return { violations, found: { checked: chosen.length, differenceMax } };
}

/** Decisions are recomputed from the log, bit for bit. */
export async function checkReplays(
  platform: Platform,
  timeline: Timeline,
  log: CaseLog,
): Promise<Checked<Report['replays']>> {
  const violations: string[] = [];
  const chosen = spread(log.decided);
  for (const { answer } of chosen) {
    const { equal, differences } = await platform.replay(answer.decisionId);
    if (!equal)
      violations.push(
        `decision ${answer.decisionId} replays differently: ${differences.join(', ') || 'the score'}`,
      );
  }
  const equal = chosen.length - violations.length;
  timeline.say('replay', `${grouped(equal)} of ${grouped(chosen.length)} decisions replayed bit for bit`);
  return { violations, found: { checked: chosen.length, equal } };
}

/** At most {@link SAMPLES_MAX} of the cases, evenly spread, the first and the last among them. */
function spread(decided: readonly DecidedCase[]): readonly DecidedCase[] {
  if (decided.length <= SAMPLES_MAX) return decided;
  const step = (decided.length - 1) / (SAMPLES_MAX - 1);
  return Array.from({ length: SAMPLES_MAX }, (_, index) => decided[Math.round(index * step)]).filter(
    (known) => known !== undefined,
  );
}
