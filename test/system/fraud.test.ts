import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { removeEmbedded } from '../../src/adapters/postgres/index.ts';
import { ROOT } from '../tidy/tree.ts';

interface Report {
  readonly events: { sent: number; accepted: number; duplicates: number; quarantined: number };
  readonly features: Readonly<Record<string, number>>;
  readonly models: readonly {
    trainer: string;
    auc: number;
    averagePrecision: number;
    cardPrecision100: number;
  }[];
  readonly decisions: { count: number; failed: number; p50Ms: number; p99Ms: number };
  readonly seconds: Readonly<Record<string, number>>;
  readonly peakRssMb: number | null;
}

/** What `npm start` runs, with a data folder of the test's own. */
async function fraud(
  parameters: readonly string[],
): Promise<{ code: number | null; report: Report; log: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'tandem-fraud-'));
  const report = join(folder, 'report.json');
  const dataDir = join(folder, 'data');
  try {
    const script = join(ROOT, 'examples/fraud/run.ts');
    const own = ['--once', '--report', report, '--data-dir', dataDir];
    const child = spawn(process.execPath, ['--conditions=tandem-source', script, ...own, ...parameters], {
      cwd: ROOT,
    });
    let log = '';
    child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
    const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
    if (code !== 0) throw new Error(log);
    return { code, report: JSON.parse(await readFile(report, 'utf8')) as Report, log };
  } finally {
    await removeEmbedded(join(dataDir, 'postgres'));
    await rm(folder, { recursive: true, force: true });
  }
}

function expectExact(report: Report): void {
  expect(report.features['mismatchesOnline']).toBe(0);
  expect(report.features['mismatchesOffline']).toBe(0);
  expect(report.features['mismatchesAsServed']).toBe(0);
  expect(report.features['rows']).toBeGreaterThan(1_000);
  expect(report.features['valuesOffline']).toBe(report.features['valuesOnline']);
  expect(report.events.quarantined).toBe(0);
  expect(report.decisions.failed).toBe(0);
  expect(report.decisions.count).toBeGreaterThan(1_000);
}

describe('the fraud example', () => {
  it('is exact on a simulated stream that is shuffled, doubled and killed half way', async () => {
    const { report } = await fraud(['--shuffle', '60s', '--duplicate', '0.01', '--kill-at', '0.5']);
    expectExact(report);
    expect(report.events.duplicates).toBeGreaterThan(report.events.sent * 0.005);
    expect(report.models.map((model) => model.trainer)).toEqual(['logistic', 'gbdt']);
    for (const model of report.models) expect(model.auc).toBeGreaterThan(0.75);
  }, 300_000);

  const published = process.env['FRAUD_DATA'] ?? join(ROOT, '../shared/data/fraud-handbook');
  const absent = !existsSync(published);
  if (absent) console.warn(`skipped: published fraud data; there is no folder ${published} (FRAUD_DATA)`);
  it.skipIf(absent)(
    'reproduces the published features and results, doubled, shuffled and killed',
    async () => {
      const parameters = ['--data', published, '--shuffle', '60s', '--duplicate', '0.01', '--kill-at', '0.5'];
      const { report } = await fraud(parameters);
      expectExact(report);
      expect(report.features['rows']).toBe(201_295);
      const [linear, boosted] = report.models;
      expect(Math.abs((linear?.auc ?? 0) - 0.871)).toBeLessThanOrEqual(0.003);
      expect(Math.abs((linear?.averagePrecision ?? 0) - 0.606)).toBeLessThanOrEqual(0.005);
      expect(Math.abs((linear?.cardPrecision100 ?? 0) - 0.291)).toBeLessThanOrEqual(0.01);
      expect(boosted?.auc).toBeGreaterThanOrEqual(0.855);
      expect(boosted?.averagePrecision).toBeGreaterThanOrEqual(0.6);
    },
    600_000,
  );
});
