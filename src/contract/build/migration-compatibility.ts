import type { Party } from './description.ts';

/**
 * Problems between the schemas of two builds that run on one database, in words. A step that one has and the other does
 * not know must be additive: the one without it must go on working, and must be able to start again.
 */
export function migrationProblems(candidate: Party, other: Party): string[] {
  const [ours, theirs] = [candidate.contract.migrations, other.contract.migrations];
  const owners = Object.keys(ours).filter((owner) => Object.hasOwn(theirs, owner));
  return owners.flatMap((owner) => {
    const [mine = [], known = []] = [ours[owner], theirs[owner]];
    const shared = Math.min(mine.length, known.length);
    const changed = mine.slice(0, shared).filter((step, index) => step.checksum !== known[index]?.checksum);
    const longer = mine.length > known.length ? mine : known;
    const breaking = longer.slice(shared).filter(({ additive }) => !additive);
    return [
      ...changed.map(
        ({ number, name }) =>
          `step ${String(number)} (${name}) of the schema of ${owner} is another one in ${candidate.build} than in ${other.build}: ` +
          'a step that has landed stays as it is',
      ),
      ...breaking.map(
        ({ number, name }) =>
          `step ${String(number)} (${name}) of the schema of ${owner} is not additive, and ${mine.length > known.length ? other.build : candidate.build} ` +
          'does not know it: the two cannot run side by side',
      ),
    ];
  });
}

/** Words of SQL after which a build that does not know them may fail. */
const BREAKING: readonly RegExp[] = [
  /\bdrop\s+(table|column|view|function|type|schema|index|constraint|trigger)\b/,
  /\balter\s+table\b[^;]*\b(drop|rename)\b/,
  /\balter\s+(table\b[^;]*\balter\s+)?(column\s+)?\w+\s+(set\s+not\s+null|(set\s+data\s+)?type\b)/,
  /\balter\s+table\b[^;]*\badd\s+(column\s+)?(if\s+not\s+exists\s+)?\w+\s[^,;]*\bnot\s+null\b(?![^,;]*\bdefault\b)/,
  /\balter\s+table\b[^;]*\badd\s+(constraint|check|unique|primary|foreign)\b/,
  /\b(truncate|delete\s+from)\b/,
];

/** The first words of a step's SQL that speak against its being additive; `undefined` when there are none. */
export function breakingWords(sql: string): string | undefined {
  const text = sql
    .replaceAll(/--[^\n]*/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .toLowerCase();
  for (const pattern of BREAKING) {
    const found = pattern.exec(text)?.[0];
    if (found !== undefined) return found.trim();
  }
  return undefined;
}
