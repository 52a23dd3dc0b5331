import {
  type CardForm,
  type ModelVersion,
  PlatformError,
  type DecisionReplay,
  type Release,
  type ReleasedRanker,
  routes,
} from '../../contract/index.ts';
import { type Client, type ClientOptions, openClient } from '../client.ts';
import { amount, type Output, table, when } from '../output.ts';

/** Entries that a list shows. */
const LISTED_MAX = 100;

/** `tandem models [model]`: every model with its newest version, or the versions of one. */
export async function listModels(
  model: string | undefined,
  options: ClientOptions,
  output: Output,
): Promise<void> {
  await using client = await openClient(options);
  if (model === undefined) {
    const { models } = await client.call(routes.listModels, { params: {}, query: {}, body: {} });
    output.result(models, () =>
      models.length === 0
        ? 'The app defines no models'
        : table(
            ['MODEL', ...VERSION_HEAD],
            models.map(({ model: name, newest }) => [
              name,
              ...(newest === null ? ['-'] : versionRow(newest)),
            ]),
          ),
    );
    return;
  }
  const { versions } = await client.call(routes.listVersions, {
    params: { model },
    query: { limit: LISTED_MAX },
    body: {},
  });
  output.result(versions, () =>
    versions.length === 0
      ? `${model} has no version yet. Train one with: tandem train ${model}`
      : table(VERSION_HEAD, versions.map(versionRow)),
  );
}

const VERSION_HEAD = ['VERSION', 'GATES', 'CREATED', 'METRICS'];

function versionRow(version: ModelVersion): string[] {
  const metrics = Object.entries(version.metrics).map(([name, value]) => `${name} ${amount(value)}`);
  return [
    String(version.version),
    version.passed ? 'passed' : 'FAILED',
    when(version.createdAt),
    metrics.join(', '),
  ];
}

/** `tandem card MODEL [VERSION]`: the model card as it is, for a file or a pipe. */
export async function printCard(
  model: string,
  given: string | undefined,
  { form, output, ...options }: ClientOptions & { readonly form: CardForm; readonly output: Output },
): Promise<void> {
  await using client = await openClient(options);
  const version = given === undefined ? await newestOf(client, model) : readNumber('version', given);
  const card = await client.call(routes.getCard, { params: { model, version }, query: { form }, body: {} });
  output.result(card, () => card.text.trimEnd());
}

async function newestOf(client: Client, model: string): Promise<number> {
  const { versions } = await client.call(routes.listVersions, {
    params: { model },
    query: { limit: 1 },
    body: {},
  });
  const [newest] = versions;
  if (newest !== undefined) return newest.version;
  throw new PlatformError(
    'MODEL_NOT_FOUND',
    `${model} has no version yet. Train one with: tandem train ${model}`,
  );
}

/** `tandem releases [decision]`: releases, newest first. */
export async function listReleases(
  decision: string | undefined,
  options: ClientOptions,
  output: Output,
): Promise<void> {
  await using client = await openClient(options);
  const query = { limit: LISTED_MAX, ...(decision === undefined ? {} : { decision }) };
  const [{ releases }, current] = await Promise.all([
    client.call(routes.listReleases, { params: {}, query, body: {} }),
    client.call(routes.getCurrentReleases, { params: {}, query: {}, body: {} }),
  ]);
  const inCharge = new Set(current.releases.map(({ id }) => id));
  output.result(
    releases.map((release) => ({ ...release, inCharge: inCharge.has(release.id) })),
    () =>
      releases.length === 0
        ? 'There is no release yet. Make one with: tandem release <decision> <version>'
        : table(
            [
              'RELEASE',
              'MODEL',
              'VERSION',
              'THRESHOLD',
              'ABSTAINS',
              'RANKER',
              'IN CHARGE',
              'CREATED',
              'REASON',
            ],
            releases.map((release) => releaseRow(release, inCharge.has(release.id))),
          ),
  );
}

function releaseRow(release: Release, isInCharge: boolean): string[] {
  const { id, model, version, threshold, abstain, createdAt, reason, ranker } = release;
  return [
    id,
    model,
    String(version),
    ranker === undefined ? String(threshold) : '',
    abstain === undefined ? '' : `${String(abstain.from)}..${String(abstain.to)} ${abstain.outcome}`,
    ranker === undefined ? '' : rankerText(ranker),
    isInCharge ? 'yes' : '',
    when(createdAt),
    reason ?? '',
  ];
}

function rankerText(ranker: ReleasedRanker | null): string {
  return ranker === null ? 'no ranker' : `${ranker.model} ${String(ranker.version)}`;
}

export interface ReleaseVerbOptions extends ClientOptions {
  readonly reason?: string | undefined;
  readonly threshold?: string | undefined;
  /** `0.1..0.9`, or false: none. */
  readonly abstain?: string | false | undefined;
  /** A version, or `none`. */
  readonly ranker?: string | undefined;
}

/**
 * `tandem release <decision> [version] [--ranker version]`: puts a version in charge, or those of a recommendation. Rejects with
 * GATE_FAILED unless their gates passed.
 */
export async function release(
  decision: string,
  version: string | undefined,
  options: ReleaseVerbOptions,
  output: Output,
): Promise<void> {
  const number = version === undefined ? undefined : readNumber('version', version);
  const { reason, threshold, abstain, ranker } = options;
  const rankerNumber = ranker === 'none' || ranker === undefined ? null : readNumber('--ranker', ranker);
  await using client = await openClient(options);
  const made = await client.call(routes.createRelease, {
    params: {},
    query: {},
    body: {
      decision,
      ...(number === undefined ? {} : { version: number }),
      ...(ranker === undefined ? {} : { ranker: rankerNumber }),
      idempotencyKey: crypto.randomUUID(),
      ...(threshold === undefined ? {} : { threshold: readNumber('--threshold', threshold) }),
      ...(abstain === undefined ? {} : { abstain: abstain === false ? null : readAbstention(abstain) }),
      ...(reason === undefined ? {} : { reason }),
    },
  });
  output.result(made, () => {
    const { id, model, version: of, ranker: ranked } = made;
    const what = `${model} version ${String(of)}`;
    const models = ranked === undefined ? what : `${what} with ${rankerText(ranked)}`;
    return `${id}: ${models} answers ${decision} now`;
  });
}

/** Reads `0.1..0.9`, or `0.1..0.9:outcome`. Throws CONFIGURATION. */
export function readAbstention(text: string): { from: number; to: number; outcome?: string } {
  const [, from = '', to = '', outcome] = /^([\d.]+?)\.\.([\d.]+)(?::(.+))?$/.exec(text) ?? [];
  if (from === '' || to === '') {
    throw new PlatformError(
      'CONFIGURATION',
      `--abstain: expected FROM..TO or FROM..TO:OUTCOME, as 0.1..0.9, got '${text}'`,
    );
  }
  return {
    from: readNumber('--abstain', from),
    to: readNumber('--abstain', to),
    ...(outcome === undefined ? {} : { outcome }),
  };
}

/** Reads a number that a person typed. Throws CONFIGURATION. */
function readNumber(name: string, text: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text);
  throw new PlatformError('CONFIGURATION', `${name}: expected a number, got '${text}'`);
}

/** `tandem replay <decisionId>`: recomputes a decision or a recommendation. Resolves with whether it came out equal. */
export async function replay(decisionId: string, options: ClientOptions, output: Output): Promise<boolean> {
  await using client = await openClient(options);
  const result = await client.call(routes.replayDecision, { params: { decisionId }, query: {}, body: {} });
  output.result(result, () => {
    const { recorded, recomputed, differences, equal } = result;
    if (equal && recorded.items !== undefined)
      return `equal: ${recorded.outcome}, ${String(recorded.items.length)} items, ${String(recorded.values.length)} values`;
    if (equal)
      return `equal: ${recorded.outcome}, score ${String(recorded.score)}, ${String(recorded.values.length)} values`;
    if (recorded.items !== undefined) return notEqualItems(result);
    const scores = `score ${String(recorded.score)} was recorded, ${String(recomputed.score)} comes out`;
    return `NOT equal: ${scores}${differences.length === 0 ? '' : `; different values: ${differences.join(', ')}`}`;
  });
  return result.equal;
}

function notEqualItems({ recorded, recomputed, differences }: DecisionReplay): string {
  const list = (items: DecisionReplay['recorded']['items']): string =>
    (items ?? []).map(({ item, score }) => `${item} ${String(score)}`).join(', ') || 'nothing';
  const what = `${list(recorded.items)} was recorded, ${list(recomputed.items)} comes out`;
  return `NOT equal: ${what}; different: ${differences.join(', ')}`;
}
