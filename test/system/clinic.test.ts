import { describe, expect, it, vi } from 'vitest';
import type {
  DecisionAnswer,
  DecisionReplay,
  IngestResult,
  ModelVersion,
  Release,
  Run,
} from '../../src/contract/index.ts';
import { fetchJson, product } from '../support/product.ts';

vi.setConfig({ testTimeout: 300_000 });
/** For what another process does. */
const PATIENCE = { timeout: 60_000, interval: 100 };
const HOUR = 3_600_000;
const CASES = 320;

/** Four cases of each patient, of whom every third is ill as a rule: then images are larger. */
function caseOf(serial: number, now: number): { record: Record<string, unknown>; isIll: boolean } {
  const patient = serial >> 2;
  const isIll = (patient * 7) % 3 === 0 && serial % 11 !== 0;
  const size = (isIll ? 6 : 2) + ((serial * 37) % 60) / 10;
  const at = now - (CASES - serial) * 6 * HOUR - 2 * 24 * HOUR;
  const record = {
    caseId: `c${String(serial)}`,
    at,
    patientId: `p${String(patient)}`,
    size,
    ward: serial % 2,
  };
  return { record, isIll };
}

describe('a clinic with a few hundred cases', () => {
  it('trains by folds, calibrates, releases what passed its gates, decides and replays', async () => {
    await using running = await product('test/system/fixtures/clinic/app.ts');
    await running.start();
    const now = Date.now();
    const call = <TResult>(
      path: string,
      body?: object | string,
      type = 'application/json',
    ): Promise<TResult> =>
      fetchJson(new URL(path, running.url).href, {
        method: body === undefined ? 'GET' : 'POST',
        headers: { 'content-type': type },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
    const send = async (name: string, records: readonly object[]): Promise<void> => {
      const lines = records.map((record) => JSON.stringify(record)).join('\n');
      const sent = await call<IngestResult>(`/v1/sources/${name}/events`, lines, 'application/x-ndjson');
      expect(sent).toMatchObject({ accepted: records.length, quarantined: 0 });
    };
    const all = Array.from({ length: CASES }, (_, serial) => caseOf(serial, now));
    await send(
      'cases',
      all.map(({ record }) => record),
    );
    await send(
      'findings',
      all
        .filter(({ isIll }) => isIll)
        .map(({ record }) => ({
          findingId: `f${String(record['caseId'])}`,
          at: Number(record['at']) + HOUR,
          caseId: record['caseId'],
        })),
    );
    const finished = async (model: string): Promise<Run> => {
      let run = await call<Run>(`/v1/models/${model}/runs`, {});
      while (run.state === 'queued' || run.state === 'running') {
        await new Promise((resolve) => setTimeout(resolve, 200));
        run = await call<Run>(`/v1/runs/${run.id}`);
      }
      expect(run.error).toBeNull();
      return run;
    };

    const run = await finished('tumour');
    expect(run.metrics).toMatchObject({ trainRows: CASES, testRows: CASES });
    expect(run.gates.map(({ passed }) => passed)).toEqual([true, true, true]);
    const version = await call<ModelVersion>(`/v1/models/tumour/versions/${String(run.version)}`);
    expect(version).toMatchObject({ passed: true, gates: run.gates });
    const card = await call<{ text: string }>(`/v1/models/tumour/versions/${String(run.version)}/card`);
    expect(card.text).toContain("All rows of one 'patientId' lie in the same fold.");
    const release = await call<Release>('/v1/releases', { decision: 'triage', version: run.version });
    const decide = async (size: number): Promise<DecisionAnswer> => {
      const request = { caseId: `asked${String(size)}`, at: Date.now(), patientId: 'p1', size, ward: 0 };
      // The release is loaded a moment later.
      return await vi.waitFor(async () => {
        const answer = await call<DecisionAnswer>('/v1/decisions/triage', request);
        expect(answer.release).toBe(release.id);
        return answer;
      }, PATIENCE);
    };
    const [small, large] = [await decide(1), await decide(11)];
    expect([small.outcome, large.outcome]).toEqual(['negative', 'positive']);
    expect(small.score).toBeGreaterThan(0);
    expect(large.score).toBeLessThan(1);
    for (const { decisionId } of [small, large]) {
      const replay = await call<DecisionReplay>(`/v1/ledger/${decisionId}/replay`, {});
      expect(replay).toMatchObject({ equal: true });
    }

    const refused = await finished('strict');
    expect(refused.gates).toMatchObject([{ slice: 'worst', end: 'lower', rowsMin: 30, passed: false }]);
    const response = await fetch(new URL('/v1/releases', running.url), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ decision: 'strict', version: refused.version }),
    });
    expect(response.status).toBe(409);
    expect(await response.json()).toMatchObject({
      code: 'GATE_FAILED',
      detail: expect.stringMatching(
        /recall at 0.2 in the worst slice, lower end is 0(\.\d+)? where \w+ is .* \(\d+ rows\), at least 0.9999 is asked/,
      ) as string,
    });
  });
});
