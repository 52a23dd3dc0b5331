import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { removeEmbedded } from '../../src/adapters/postgres/index.ts';
import { ROOT } from '../tidy/tree.ts';

interface Report {
  readonly cases: { sent: number; kept: number; quarantined: number };
  readonly findings: { sent: number; fromReviews: number; kept: number; quarantined: number };
  readonly batches: readonly {
    cases: number;
    estimate: { auc: number };
    gates: readonly { text: string; passed: boolean }[];
    before: { version: number } | null;
    release: string | null;
  }[];
  readonly decisions: {
    count: number;
    failed: number;
    outcomes: Readonly<Record<string, { count: number; positives: number }>>;
  };
  readonly reviews: { asked: number; answered: number; waiting: number };
  readonly prequential: { auc: number; later: { cases: number } };
  readonly explanations: { checked: number; differenceMax: number };
  readonly replays: { checked: number; equal: number };
  readonly final: { cases: number; auc: number };
}

/** What the README says, with a data folder of the test's own. */
async function diagnostics(parameters: readonly string[]): Promise<{ report: Report; log: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'tandem-diagnostics-'));
  const report = join(folder, 'report.json');
  const dataDir = join(folder, 'data');
  try {
    const own = ['--once', '--report', report, '--data-dir', dataDir];
    // The product takes no variable that begins as its own and is none.
    const { TANDEM_SHARED: _, ...env } = process.env;
    const child = spawn('npm', ['start', '-w', 'examples/diagnostics', '--', ...own, ...parameters], {
      cwd: ROOT,
      env,
    });
    let log = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (log += chunk.toString()));
    const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
    if (code !== 0) throw new Error(log);
    return { report: JSON.parse(await readFile(report, 'utf8')) as Report, log };
  } finally {
    await removeEmbedded(join(dataDir, 'postgres'));
    await rm(folder, { recursive: true, force: true });
  }
}

describe('the diagnostics example', () => {
  it('releases better versions, abstains, explains and learns from answers, and loses nothing to a kill', async () => {
    const { report, log } = await diagnostics(['--batches', '4', '--kill-at', '0.6']);
    const { cases, findings, batches, decisions, reviews } = report;
    expect(log).toMatch(/kill -9 of the product/);
    expect(cases).toEqual({ sent: 192, kept: 192, quarantined: 0 });
    expect(findings.kept).toBe(findings.sent + findings.fromReviews);
    expect(findings.quarantined).toBe(0);
    expect(batches.map((batch) => batch.cases)).toEqual([48, 96, 144, 192]);
    expect(batches[0]?.before).toBeNull();
    expect(
      batches.every(({ gates, release }) => release === null || gates.every(({ passed }) => passed)),
    ).toBe(true);
    expect(batches.filter(({ release }) => release !== null).length).toBeGreaterThan(1);
    expect(decisions).toMatchObject({ count: 96, failed: 0 });
    expect(report.prequential.later.cases).toBeGreaterThanOrEqual(48);
    expect(report.prequential.auc).toBeGreaterThan(0.95);
    expect(reviews.asked).toBeGreaterThan(0);
    expect(reviews.answered).toBeGreaterThanOrEqual(reviews.asked);
    expect(reviews.waiting).toBe(0);
    expect(findings.fromReviews).toBe(reviews.answered);
    expect(report.explanations.checked).toBe(96);
    expect(report.explanations.differenceMax).toBeLessThanOrEqual(1e-9);
    expect(report.replays).toEqual({ checked: 96, equal: 96 });
    expect(report.final.cases).toBe(192);
  }, 600_000);
});

const shared = process.env['TANDEM_SHARED'];
if (shared === undefined)
  console.warn('skipped: diagnostics on data sets of others; TANDEM_SHARED names no folder');
describe.skipIf(shared === undefined)('the diagnostics example on data of others', () => {
  it.each([
    // The whole file, so that the final model is held against what others reach.
    ['heart', []],
    ['pima', ['--batches', '4']],
    ['hypothyroid', ['--batches', '4']],
  ])(
    '%s: with its own app and gates',
    async (name, parameters) => {
      const data = join(shared ?? '', 'data', 'diagnostics');
      const { report } = await diagnostics(['--dataset', name, '--data', data, ...parameters]);
      expect(report.cases.kept).toBe(report.cases.sent);
      expect(report.decisions.failed).toBe(0);
      expect(report.decisions.count).toBeGreaterThan(0);
      expect(report.replays.equal).toBe(report.replays.checked);
      expect(report.explanations.differenceMax).toBeLessThanOrEqual(1e-9);
      expect(report.final.cases).toBe(report.cases.sent);
    },
    1_200_000,
  );
});
