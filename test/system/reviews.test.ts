import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type {
  Dataset,
  DecisionAnswer,
  DecisionExplanation,
  Release,
  Review,
  ReviewAnswer,
} from '../../src/contract/index.ts';
import { SeededRandom } from '../../src/ml/index.ts';
import { fetchJson, type Product, product } from '../support/product.ts';
import { ROOT } from '../tidy/tree.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const START = Date.UTC(2026, 0, 5);
/** An hour apart each, over ten days. */
const CASES = 480;

let clinic: Product;

beforeAll(async () => {
  clinic = await product('test/system/fixtures/reviews/app.ts', ['--clock', 'event']);
  await clinic.start();
}, 240_000);

afterAll(() => clinic[Symbol.asyncDispose]());

/** A verb of the command line, as somebody types it. */
async function tandem(...words: string[]): Promise<string> {
  const main = join(ROOT, 'src/cli/main.ts');
  const parameters = ['--conditions=tandem-source', main, ...words, '--url', clinic.url];
  const { stdout } = await promisify(execFile)(process.execPath, parameters, { cwd: ROOT });
  return stdout;
}

async function verb<TResult>(...words: string[]): Promise<TResult> {
  return JSON.parse(await tandem(...words, '--json')) as TResult;
}

function post<TResult>(path: string, body: unknown): Promise<TResult> {
  return fetchJson<TResult>(`${clinic.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

interface Case {
  readonly caseId: string;
  readonly at: number;
  readonly patientId: string;
  readonly size: number;
  readonly age?: number;
}

/** Larger is worse, and in between nobody knows. */
function world(): { readonly cases: Case[]; readonly confirmations: object[] } {
  const random = new SeededRandom(7);
  const cases = Array.from({ length: CASES }, (_, serial): Case => {
    const age = random.uniform() < 0.2 ? {} : { age: 30 + random.integer(50) };
    const at = START + serial * (HOUR_MS / 2);
    return { caseId: `c${serial}`, at, patientId: `p${serial}`, size: random.uniform(), ...age };
  });
  const confirmations = cases.flatMap(({ caseId, at, size }) => {
    const isMalignant = random.uniform() < (size < 0.4 ? 0.02 : size > 0.6 ? 0.98 : 0.5);
    return isMalignant ? [{ confirmationId: `f-${caseId}`, at: at + HOUR_MS, caseId, grade: 1 }] : [];
  });
  return { cases, confirmations };
}

interface Page {
  readonly waiting: number;
  readonly reviews: readonly Review[];
}

describe('a clinic that leaves unsure cases to a person', () => {
  const decided = START + 11 * DAY_MS;
  const answers: DecisionAnswer[] = [];

  it('trains, releases, decides, and says why', async () => {
    const { cases, confirmations } = world();
    await post('/v1/sources/cases/events', cases);
    await post('/v1/sources/confirmations/events', confirmations);
    // So that the last of them mature.
    await post('/v1/sources/cases/events', [
      { caseId: 'later', at: START + 11 * DAY_MS - 1, patientId: 'p', size: 0.1 },
    ]);
    await tandem('train', 'diagnosis', '--as-of', new Date(START + 11 * DAY_MS - 1).toISOString());
    const release = await verb<Release>('release', 'triage', '1');
    expect(release.abstain).toEqual({ from: 0.2, to: 0.8, outcome: 'unsure' });
    expect(await tandem('releases')).toContain('0.2..0.8 unsure');
    await expect
      .poll(() => fetchJson<{ ready: boolean; reason?: string }>(`${clinic.url}/readyz`), { timeout: 30_000 })
      .toMatchObject({ ready: true });
    for (const [index, size] of [0.05, 0.5, 0.95, 0.5].entries()) {
      const made = {
        caseId: `new${index}`,
        at: decided + index * 1_000,
        patientId: `n${index}`,
        size,
        age: 60,
      };
      answers.push(await post<DecisionAnswer>('/v1/decisions/triage', made));
      await post('/v1/sources/cases/events', [made]);
    }
    expect(answers.map(({ outcome }) => outcome)).toEqual(['benign', 'unsure', 'malignant', 'unsure']);
    expect([answers[0], answers[2]].map((sure) => sure?.reasons?.[0]?.input)).toEqual(['size', 'size']);
    for (const { score, reasons = [], base = Number.NaN } of answers) {
      const sum = reasons.reduce((total, { contribution }) => total + contribution, base);
      expect(sum).toBeCloseTo(Math.log(score / (1 - score)), 9);
    }
  });

  it('keeps what waits when everything is killed, and shows it with its reasons', async () => {
    await clinic.kill();
    await clinic.start();
    const page = await verb<Page>('reviews', '--decision', 'triage');
    const unsure = answers.filter(({ outcome }) => outcome === 'unsure');
    expect(page.reviews.map(({ decisionId }) => decisionId)).toEqual(
      unsure.map(({ decisionId }) => decisionId),
    );
    expect(page.reviews[0]).toMatchObject({
      subject: 'n1',
      reasons: unsure[0]?.reasons,
      base: unsure[0]?.base,
    });
    const id = unsure[0]?.decisionId ?? '';
    const explanation = await verb<DecisionExplanation>('explain', id);
    expect(explanation.inputs.map(({ input }) => input).toSorted()).toEqual(['age', 'size']);
    expect(explanation.inputs.find(({ input }) => input === 'size')?.reference?.text).toMatch(
      /^(higher|lower) than in \d+ % of training rows$/,
    );
    expect(await tandem('explain', id)).toContain('of training rows');
  });

  it('makes an outcome of an answer, which a later dataset counts', async () => {
    const [first, second] = answers.filter(({ outcome }) => outcome === 'unsure');
    await expect(tandem('review', first?.decisionId ?? '', '--positive')).rejects.toThrow(
      /needs the field 'grade'/,
    );
    const answer = await verb<ReviewAnswer>(
      'review',
      first?.decisionId ?? '',
      '--positive',
      '--field',
      'grade=2',
    );
    expect(answer.event).toEqual({
      source: 'confirmations',
      id: `review-${first?.decisionId ?? ''}`,
      sent: true,
    });
    expect(answer.late).toBe(false);
    expect(await verb('review', second?.decisionId ?? '', '--negative', '--note', 'a cyst')).toMatchObject({
      event: null,
      note: 'a cyst',
    });
    expect(await verb<Page>('reviews')).toMatchObject({ waiting: 0, reviews: [] });
    expect(
      (await verb<Page>('reviews', '--answered')).reviews.map(({ answer: kept }) => kept?.positive),
    ).toEqual([true, false]);
    await post('/v1/sources/cases/events', [
      { caseId: 'last', at: decided + 3 * DAY_MS, patientId: 'p', size: 0.1 },
    ]);
    const dataset = await post<Dataset>('/v1/datasets', {
      vector: 'tumour',
      label: 'malignant',
      from: decided,
      to: decided + HOUR_MS,
      knowledge: 'latest',
      asOf: decided + 2 * DAY_MS,
    });
    expect(dataset).toMatchObject({ rows: 4, positives: 1, censored: 0 });
  });
});
