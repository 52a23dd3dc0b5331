import { PlatformError, routes } from '../../contract/index.ts';
import type { Decision, Field, Source } from '../../define/index.ts';
import type { Readiness, ServiceHost } from '../../runtime/index.ts';
import { textOf } from './failures.ts';
import type { ServeOptions } from './options.ts';
import type { LoadedRelease, ReleaseWatch } from './release-watch.ts';
import { servedValues } from './served-model.ts';

/** What {@link checkReadiness} needs. */
export interface ReadinessParts {
  readonly host: ServiceHost<ServeOptions>;
  readonly watch: ReleaseWatch;
}

const LEDGER_ANSWERS = `select from serve_ledger limit 0`;

/**
 * Whether this replica would decide now. It is ready when the registry has answered once, every decision that
 * has a release has it loaded, and a made-up event goes the way of a real one: its vector is read from the
 * features service, the loaded model predicts from it, and the ledger's table answers (asked only for durable
 * decisions; nothing is recorded). Before the first release it is ready and says so: there is nothing that
 * could be served better elsewhere.
 */
export async function checkReadiness(parts: ReadinessParts): Promise<Readiness> {
  const { host, watch } = parts;
  const decisions = [...host.app.decisions.values()];
  if (!watch.isInformed)
    return { ready: false, reason: watch.registryError ?? 'the registry has not answered yet' };
  const loaded: { decision: Decision; release: LoadedRelease }[] = [];
  for (const decision of decisions) {
    const release = watch.get(decision.name);
    const failure = watch.failure(decision.name);
    if (release !== undefined) loaded.push({ decision, release });
    else if (failure !== undefined) return { ready: false, reason: `${failure.release}: ${failure.reason}` };
  }
  try {
    if (loaded.some(({ decision }) => decision.ledger === 'durable')) await askLedger(host);
    await Promise.all(loaded.map(({ release }) => rehearse(host, release)));
  } catch (error) {
    return { ready: false, reason: textOf(error) };
  }
  const idle = decisions.filter((decision) => watch.get(decision.name) === undefined).map(({ name }) => name);
  const notes = [
    ...(idle.length === 0 ? [] : [`no release yet for ${idle.join(', ')}`]),
    ...loaded.flatMap(({ decision }) => {
      const failure = watch.failure(decision.name);
      return failure === undefined ? [] : [`${failure.release} cannot be loaded: ${failure.reason}`];
    }),
    ...(watch.registryError === undefined ? [] : [watch.registryError]),
  ];
  return notes.length === 0 ? { ready: true } : { ready: true, reason: notes.join('; ') };
}

/** Makes the decision for a made-up event, without recording it. */
async function rehearse(host: ServiceHost<ServeOptions>, loaded: LoadedRelease): Promise<void> {
  const { vector } = loaded;
  const body = {
    candidates: [sampleOf(vector.candidate, host.clock.now())],
    waitMs: 0,
    record: false,
    atClock: true,
  };
  const input = { params: { vector: vector.name }, query: {}, body };
  const read = await host.call(routes.readVector, input, { timeoutMs: host.options.readyMs });
  const [row] = read.rows;
  if (row === undefined) throw new PlatformError('UNAVAILABLE', 'the features service answered with no row');
  if (read.hash !== loaded.release.vectorHash) {
    throw new PlatformError(
      'UNAVAILABLE',
      `the features service has another version of vector '${vector.name}'`,
    );
  }
  loaded.model.predict(servedValues(row.values));
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
