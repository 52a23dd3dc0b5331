import { PlatformError, routes } from '../../contract/index.ts';
import { type Field, readHistory, type Source, type Vector } from '../../define/index.ts';
import type { Readiness, ServiceHost } from '../../runtime/index.ts';
import { textOf } from './failures.ts';
import { proposeCandidates } from './propose-candidates.ts';
import type { ServeOptions } from './options.ts';
import type { LoadedRecommendation } from './load-recommendation.ts';
import type { LoadedRelease, ReleaseWatch } from './release-watch.ts';
import { servedValues } from './served-model.ts';

/** What {@link checkReadiness} needs. */
export interface ReadinessParts {
  readonly host: ServiceHost<ServeOptions>;
  readonly watch: ReleaseWatch;
}

const LEDGER_ANSWERS = `select from serve_ledger limit 0`;

/**
 * Whether this replica would decide and recommend now. It is ready when the registry has answered once, every
 * decision and recommendation that has a release has it loaded, and a made-up event goes the way of a real one: its vectors
 * are read from the features service, the loaded models predict from them, and the ledger's table answers (asked
 * only for durable ones; nothing is recorded). Before the first release it is ready and says so: there is nothing that
 * could be served better elsewhere.
 */
export async function checkReadiness(parts: ReadinessParts): Promise<Readiness> {
  const { host, watch } = parts;
  const { decisions, recommendations } = host.app;
  const answering = [...decisions.values(), ...recommendations.values()];
  if (!watch.isInformed)
    return { ready: false, reason: watch.registryError ?? 'the registry has not answered yet' };
  const loaded = answering.filter(({ name }) => isLoaded(watch, name));
  for (const { name } of answering) {
    const failure = watch.failure(name);
    if (failure !== undefined && !isLoaded(watch, name))
      return { ready: false, reason: `${failure.release}: ${failure.reason}` };
  }
  try {
    if (loaded.some(({ ledger }) => ledger === 'durable')) await askLedger(host);
    await Promise.all(loaded.map(({ name }) => rehearse(parts, name)));
  } catch (error) {
    return { ready: false, reason: textOf(error) };
  }
  const idle = answering.filter(({ name }) => !isLoaded(watch, name)).map(({ name }) => name);
  const notes = [
    ...(idle.length === 0 ? [] : [`no release yet for ${idle.join(', ')}`]),
    ...loaded.flatMap(({ name }) => {
      const failure = watch.failure(name);
      return failure === undefined ? [] : [`${failure.release} cannot be loaded: ${failure.reason}`];
    }),
    ...(watch.registryError === undefined ? [] : [watch.registryError]),
  ];
  return notes.length === 0 ? { ready: true } : { ready: true, reason: notes.join('; ') };
}

function isLoaded(watch: ReleaseWatch, name: string): boolean {
  return watch.get(name) !== undefined || watch.recommendation(name) !== undefined;
}

/** Answers a made-up event, without recording it. */
async function rehearse({ host, watch }: ReadinessParts, name: string): Promise<void> {
  const decision = watch.get(name);
  const recommendation = watch.recommendation(name);
  if (decision !== undefined) await rehearseDecision(host, decision);
  if (recommendation !== undefined) await rehearseRecommendation(host, recommendation);
}

async function rehearseDecision(host: ServiceHost<ServeOptions>, loaded: LoadedRelease): Promise<void> {
  const values = await readSample(host, loaded.vector, sampleOf(loaded.vector.candidate, host.clock.now()));
  loaded.model.predict(servedValues(values));
}

async function rehearseRecommendation(
  host: ServiceHost<ServeOptions>,
  loaded: LoadedRecommendation,
): Promise<void> {
  const { history, items, recommender, ranker } = loaded;
  const now = host.clock.now();
  const values = await readSample(host, history, sampleOf(history.candidate, now));
  const asked = { history: readHistory(recommender, servedValues(values)), take: 1, seen: 'keep' } as const;
  proposeCandidates(items, asked);
  if (ranker === null) return;
  const { vector } = ranker;
  ranker.model.predict([await readSample(host, vector, sampleOf(vector.candidate, now))]);
}

/** The values of a made-up event, of the vector as this process has it. */
async function readSample(
  host: ServiceHost<ServeOptions>,
  vector: Vector,
  sample: Record<string, unknown>,
): Promise<readonly (number | null)[]> {
  const body = { candidates: [sample], waitMs: 0, record: false, atClock: true };
  const input = { params: { vector: vector.name }, query: {}, body };
  const read = await host.call(routes.readVector, input, { timeoutMs: host.options.readyMs });
  const [row] = read.rows;
  if (row === undefined) throw new PlatformError('UNAVAILABLE', 'the features service answered with no row');
  if (read.hash === vector.hash) return row.values;
  throw new PlatformError(
    'UNAVAILABLE',
    `the features service has another version of vector '${vector.name}'`,
  );
}

async function askLedger(host: ServiceHost<ServeOptions>): Promise<void> {
  const answered = new AbortController();
  const late = host.clock.sleep(host.options.readyMs, answered.signal).then(() => 'late');
  try {
    if ((await Promise.race([host.tables.query(LEDGER_ANSWERS), late])) !== 'late') return;
  } finally {
    answered.abort();
  }
  throw new PlatformError('UNAVAILABLE', 'the ledger does not answer');
}

/** An event that keeps the contract of its source. */
export function sampleOf(source: Source, nowMs: number): Record<string, unknown> {
  const required = Object.entries(source.fields).filter(([, field]) => !field.optional);
  return Object.fromEntries(required.map(([name, field]) => [name, sampleValue(field, nowMs)]));
}

function sampleValue(field: Field, nowMs: number): string | number | boolean {
  switch (field.kind) {
    case 'id':
    case 'key':
      return '-';
    case 'text':
      return '';
    case 'embedding':
      return JSON.stringify(Array.from({ length: field.length ?? 0 }, () => 0));
    case 'boolean':
      return false;
    case 'timestamp':
      return Math.floor(nowMs);
    case 'money':
      return 0;
    case 'number':
    case 'integer': {
      const nearest = Math.min(Math.max(0, field.minimum ?? 0), field.maximum ?? Infinity);
      return field.kind === 'integer' ? Math.ceil(nearest) : nearest;
    }
  }
}
