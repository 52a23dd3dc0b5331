import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { removeEmbedded } from '../../src/adapters/postgres/index.ts';
import { ROOT } from '../tidy/tree.ts';

interface Report {
  readonly records: { sent: number; quarantined: number; kept: number };
  readonly models: readonly { model: string; version: number; ndcg10: number }[];
  readonly stages: readonly {
    stage: string;
    release: string;
    visits: number;
    failed: number;
    expectedPer100: number;
    popularPer100: number;
    shelfPer100: number;
  }[];
  readonly clicks: { looks: number; maxMs: number };
  readonly newFeature: { visits: number; failed: number };
  readonly replayed: { equal: number; of: number };
}

/** What the README says, with a data folder of the test's own. */
async function recommend(): Promise<Report> {
  const folder = await mkdtemp(join(tmpdir(), 'tandem-recommend-'));
  const report = join(folder, 'report.json');
  const dataDir = join(folder, 'data');
  try {
    const own = ['--once', '--report', report, '--data-dir', dataDir];
    const child = spawn('npm', ['start', '-w', 'examples/recommend', '--', ...own], { cwd: ROOT });
    let log = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (log += chunk.toString()));
    const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
    if (code !== 0) throw new Error(log);
    return JSON.parse(await readFile(report, 'utf8')) as Report;
  } finally {
    await removeEmbedded(join(dataDir, 'postgres'));
    await rm(folder, { recursive: true, force: true });
  }
}

describe('the recommend example', () => {
  it('fills the shelf better step by step, and takes up a new feature while visitors come', async () => {
    const { records, models, stages, clicks, newFeature, replayed } = await recommend();
    expect(records.quarantined).toBe(0);
    expect(records.kept).toBe(records.sent);
    expect(models.map(({ model }) => model)).toEqual(['shelf', 'ranker', 'taste_ranker']);
    expect(stages.map(({ release }) => release)).toEqual([
      'for_you-1',
      'for_you-2',
      // The release changes in the middle of it.
      expect.stringMatching(/^for_you-[23]$/),
      'for_you-3',
    ]);
    expect(stages.every(({ visits, failed }) => visits > 0 && failed === 0)).toBe(true);
    expect(stages.every((stage) => stage.expectedPer100 > stage.popularPer100)).toBe(true);
    expect(stages.at(-1)?.expectedPer100).toBeGreaterThan(stages.at(-1)?.shelfPer100 ?? Infinity);
    expect(clicks.looks).toBeGreaterThan(10);
    expect(clicks.maxMs).toBeLessThanOrEqual(1_000);
    expect(newFeature.failed).toBe(0);
    expect(newFeature.visits).toBeGreaterThan(10);
    expect(replayed).toEqual({ equal: 3, of: 3 });
  }, 600_000);
});
