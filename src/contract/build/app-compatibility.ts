import type { BuildContract, FieldContract, Party, SourceContract } from './description.ts';
import type { ServiceName } from '../route.ts';
import { dependents, vectorDifferences } from './vector-difference.ts';

/** What of an app a service takes from which other one: both must mean the same by it. */
const SHARED: readonly {
  readonly what: 'source' | 'vector' | 'label' | 'model' | 'decision' | 'recommendation';
  readonly user: ServiceName;
  readonly owner: ServiceName;
}[] = [
  { what: 'source', user: 'ingest', owner: 'features' },
  { what: 'source', user: 'serve', owner: 'features' },
  { what: 'vector', user: 'serve', owner: 'features' },
  { what: 'vector', user: 'train', owner: 'features' },
  { what: 'label', user: 'train', owner: 'features' },
  { what: 'model', user: 'train', owner: 'registry' },
  { what: 'decision', user: 'serve', owner: 'registry' },
  { what: 'recommendation', user: 'serve', owner: 'registry' },
];

/** Services that read events which an earlier build of themselves or of ingest accepted. */
const SOURCE_READERS: ReadonlySet<ServiceName> = new Set(['ingest', 'features', 'serve']);

/** Problems between the apps of two builds, in words. */
export function appProblems(candidate: Party, other: Party): string[] {
  if (candidate.service === other.service) return sameServiceProblems(candidate, other);
  return SHARED.flatMap(({ what, user, owner }) => {
    if (user === candidate.service && owner === other.service)
      return missing(what, { user: candidate, owner: other, isFirst: true });
    if (user === other.service && owner === candidate.service)
      return missing(what, { user: other, owner: candidate, isFirst: false });
    return [];
  });
}

type Shared = (typeof SHARED)[number]['what'];
type AppContract = BuildContract['app'];

/** What the user of something would miss at its owner. */
function missing(what: Shared, pair: Pair): string[] {
  const { user, owner } = pair;
  const [used, owned] = [user.contract.app, owner.contract.app];
  switch (what) {
    case 'source':
      return missingSources(pair);
    case 'vector':
      return missingHashes('vector', used.vectors, owned.vectors, pair);
    case 'label':
      return missingHashes('label', used.labels, owned.labels, pair);
    case 'model':
      return missingNames('model', used.models, owned.models, pair);
    case 'decision':
      return missingNames('decision', used.decisions, owned.decisions, pair);
    case 'recommendation':
      return missingNames('recommendation', used.recommendations ?? {}, owned.recommendations ?? {}, pair);
  }
}

interface Pair {
  readonly user: Party;
  readonly owner: Party;
  /** Whether the user is the new one of the two: then the owner could have gone first. */
  readonly isFirst: boolean;
}

/** What to do about an owner that lacks something. */
function advice({ owner, isFirst }: Pair): string {
  return isFirst ? `: deploy ${owner.service} first, or both together` : '; it is still needed';
}

const nameOf = ({ service, build }: Party): string => `${service} (${build})`;

function missingHashes(
  what: 'vector' | 'label',
  used: Readonly<Record<string, string>>,
  owned: Readonly<Record<string, string>>,
  pair: Pair,
): string[] {
  const { user, owner } = pair;
  return Object.entries(used).flatMap(([name, hash]) => {
    const found = owned[name];
    if (found === hash) return [];
    const [app, other] = [user.contract.app, owner.contract.app];
    const broken = what === 'vector' ? dependents(name, app) : '';
    const breaks = broken === '' ? '' : `; it would break ${broken}`;
    if (found === undefined) {
      const text = `${nameOf(user)} needs ${what} '${name}', which ${nameOf(owner)} does not have${advice(pair)}`;
      return [`${text}${pair.isFirst ? '' : breaks}`];
    }
    const differences = what === 'vector' ? vectorDifferences(name, app, other) : [];
    const why = differences.length === 0 ? '' : `, where ${differences.join(', ')}`;
    return [
      `${what} '${name}' is another one in ${nameOf(user)} (${brief(hash)}) than in ${nameOf(owner)} (${brief(found)})${why}: ` +
        `a ${what} that runs stays as it is; give the changed one a name of its own${breaks}`,
    ];
  });
}

function missingNames(
  what: 'model' | 'decision' | 'recommendation',
  used: Readonly<Record<string, unknown>>,
  owned: Readonly<Record<string, unknown>>,
  pair: Pair,
): string[] {
  const { user, owner } = pair;
  return Object.keys(used)
    .filter((name) => !Object.hasOwn(owned, name))
    .map(
      (name) => `${nameOf(user)} has ${what} '${name}', which ${nameOf(owner)} does not know${advice(pair)}`,
    );
}

function missingSources(pair: Pair): string[] {
  const { user, owner } = pair;
  const owned = owner.contract.app.sources;
  return Object.entries(user.contract.app.sources).flatMap(([name, source]) => {
    const known = owned[name];
    if (known === undefined) {
      return [`${nameOf(user)} has source '${name}', which ${nameOf(owner)} does not know${advice(pair)}`];
    }
    return sourceDifferences(known, source).map(
      (text) => `source '${name}', as ${nameOf(owner)} reads what ${nameOf(user)} accepts: ${text}`,
    );
  });
}

function sameServiceProblems(candidate: Party, running: Party): string[] {
  const { service } = candidate;
  const [after, before] = [candidate.contract.app, running.contract.app];
  const problems: string[] = [];
  if (before.name !== after.name) {
    problems.push(`the app is '${after.name}', but ${nameOf(running)} runs '${before.name}'`);
  }
  if (SOURCE_READERS.has(service)) {
    for (const [name, source] of Object.entries(before.sources)) {
      const known = after.sources[name];
      if (known === undefined) problems.push(`source '${name}' of ${nameOf(running)} is gone`);
      else {
        const texts = sourceDifferences(known, source);
        problems.push(...texts.map((text) => `source '${name}', for events of ${nameOf(running)}: ${text}`));
      }
    }
  }
  if (service === 'features') {
    // They read from each other.
    for (const [name, hash] of Object.entries(before.vectors)) {
      const found = after.vectors[name] ?? hash;
      if (found === hash) continue;
      const pair = { user: running, owner: candidate, isFirst: false };
      problems.push(...missingHashes('vector', { [name]: hash }, { [name]: found }, pair));
    }
  }
  if (service === 'serve') {
    for (const [name, vectors] of Object.entries(answeredBy(before))) {
      const kind = Object.hasOwn(before.decisions, name) ? 'decision' : 'recommendation';
      const stays = kind === 'decision' ? after.decisions : (after.recommendations ?? {});
      if (!Object.hasOwn(stays, name)) problems.push(`${kind} '${name}' of ${nameOf(running)} is gone`);
      else
        problems.push(...vectors.flatMap((vector) => lostVector({ kind, name, vector }, candidate, running)));
    }
  }
  return problems;
}

/** Names of the vectors that releases of what an app answers are made for. */
function answeredBy(app: AppContract): Record<string, string[]> {
  const decisions = Object.entries(app.decisions).map(([name, { model }]): [string, string[]] => [
    name,
    [app.models[model]?.vector ?? ''],
  ]);
  const recommendations = Object.entries(app.recommendations ?? {}).map(
    ([name, { history, ranking }]): [string, string[]] => [
      name,
      ranking === null ? [history] : [history, ranking],
    ],
  );
  return Object.fromEntries([...decisions, ...recommendations]);
}

/** How an app keeps the vector of a model that no decision names any more. */
const KEEP = {
  decision: "list its model in the app's models",
  recommendation: "list its ranker in the app's models, its recommender as an earlier one",
} as const;

/** Releases were made for the vector, and answer until there is one for another. */
function lostVector(
  {
    kind,
    name,
    vector,
  }: { readonly kind: keyof typeof KEEP; readonly name: string; readonly vector: string },
  candidate: Party,
  running: Party,
): string[] {
  const [after, before] = [candidate.contract.app, running.contract.app];
  if (before.vectors[vector] === after.vectors[vector]) return [];
  const differences = vectorDifferences(vector, before, after);
  const why =
    after.vectors[vector] === undefined
      ? 'does not have'
      : `has changed${differences.length === 0 ? '' : ` (${differences.join(', ')})`}`;
  return [
    `${kind} '${name}' is answered by releases of vector '${vector}', which ${nameOf(candidate)} ${why}: ` +
      `keep it beside the new one (${KEEP[kind]}) until a release of the new one is in charge`,
  ];
}

/** Why `reader` does not read every event that `writer` lets in, in words. */
export function sourceDifferences(reader: SourceContract, writer: SourceContract): string[] {
  const problems = (['id', 'time', 'key'] as const).flatMap((role) =>
    reader[role] === writer[role]
      ? []
      : [`its ${role} is '${reader[role]}' for one and '${writer[role]}' for the other`],
  );
  if (writer.corrections === true && reader.corrections !== true)
    problems.push('it knows no corrections, but they may come');
  for (const [name, field] of Object.entries(writer.fields)) {
    const known = reader.fields[name];
    if (known === undefined) problems.push(`field '${name}' is not known, but may come`);
    else problems.push(...fieldDifferences(known, field).map((text) => `field '${name}' ${text}`));
  }
  for (const [name, field] of Object.entries(reader.fields)) {
    if (field.optional || Object.hasOwn(writer.fields, name)) continue;
    problems.push(`field '${name}' is needed, but need not come: a new field is optional`);
  }
  return problems;
}

function fieldDifferences(reader: FieldContract, writer: FieldContract): string[] {
  const problems: string[] = [];
  if (reader.kind !== writer.kind) return [`takes ${reader.kind}, ${writer.kind} may come`];
  if (!reader.optional && writer.optional) problems.push('is needed, but need not come');
  for (const unit of ['currency', 'decimals', 'length'] as const) {
    if (reader[unit] === writer[unit]) continue;
    problems.push(
      `has the ${unit} ${String(reader[unit])} for one and ${String(writer[unit])} for the other`,
    );
  }
  const [least, given] = [reader.minimum ?? -Infinity, writer.minimum ?? -Infinity];
  if (given < least) problems.push(`takes at least ${String(least)}, less may come`);
  const [most, largest] = [reader.maximum ?? Infinity, writer.maximum ?? Infinity];
  if (largest > most) problems.push(`takes at most ${String(most)}, more may come`);
  return problems;
}

/** The first digits of a hash. */
function brief(hash: string): string {
  return hash.replace(/^sha256:/, '').slice(0, 8);
}
