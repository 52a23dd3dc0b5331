import { appProblems } from './app-compatibility.ts';
import type { Party, RouteContract } from './description.ts';
import { migrationProblems } from './migration-compatibility.ts';
import { schemaDifferences } from './schema-difference.ts';

/** Most problems that are listed; whoever has more knows enough. */
export const PROBLEMS_MAX = 20;

/**
 * Why a build may not run beside those that do, in words; empty when it may. `running` holds every build of every
 * service that runs, also those of the same service, which go on running during the roll-out: callers from outside get
 * answers of both.
 */
export function incompatibilities(candidate: Party, running: readonly Party[]): string[] {
  const problems = running.flatMap((other) => [
    ...(other.service === candidate.service ? outsideProblems(candidate, other) : []),
    // Also among processes of one service: those of features read from each other.
    ...callProblems(candidate, other),
    ...callProblems(other, candidate),
    ...appProblems(candidate, other),
    ...migrationProblems(candidate, other),
  ]);
  return [...new Set(problems)].slice(0, PROBLEMS_MAX);
}

/** What callers who know the running build would meet at the new one. */
function outsideProblems(candidate: Party, running: Party): string[] {
  const before = running.contract.services[running.service]?.provides ?? {};
  const after = candidate.contract.services[candidate.service]?.provides ?? {};
  return Object.entries(before).flatMap(([name, known]) => {
    const title = `${candidate.service} ${known.method} ${known.path} (${name})`;
    const provided = after[name];
    if (provided === undefined) {
      return [`${title} is answered by ${running.build} and not by ${candidate.build}`];
    }
    return routeProblems(provided, known).map(
      (text) => `${title} of ${candidate.build}, for callers that know ${running.build}: ${text}`,
    );
  });
}

/** What `caller` would meet at `provider`. */
function callProblems(caller: Party, provider: Party): string[] {
  const calls = caller.contract.services[caller.service]?.calls ?? {};
  const provides = provider.contract.services[provider.service]?.provides ?? {};
  return Object.entries(calls).flatMap(([name, known]) => {
    if (known.service !== provider.service) return [];
    const title = `${caller.service} (${caller.build}) calls ${known.method} ${known.path} (${name})`;
    const provided = provides[name];
    if (provided === undefined) {
      return [`${title}, which ${provider.service} (${provider.build}) does not answer`];
    }
    return routeProblems(provided, known).map(
      (text) => `${title} of ${provider.service} (${provider.build}): ${text}`,
    );
  });
}

/** Why callers that know a route as `known` would not get on with it as it is `provided`. */
export function routeProblems(provided: RouteContract, known: RouteContract): string[] {
  const [line, before] = [provided, known].map(({ method, path }) => `${method} ${path}`);
  if (line !== before) return [`it is at ${String(line)}`];
  const problems = (['params', 'query', 'body'] as const).flatMap((part) =>
    schemaDifferences(provided[part], known[part], { path: part, reading: 'strict' }),
  );
  // Results are not checked by who gets them: more members than it knows do no harm.
  problems.push(...schemaDifferences(known.result, provided.result, { path: 'result', reading: 'lenient' }));
  const texts = problems.map(({ path, text }) => `${path} ${text}`);
  if (known.idempotent && !provided.idempotent) {
    texts.push('it may not be repeated any more, but callers do');
  }
  if (provided.bodyBytesMax < known.bodyBytesMax) {
    texts.push(
      `body takes at most ${String(provided.bodyBytesMax)} bytes, up to ${String(known.bodyBytesMax)} may come`,
    );
  }
  return texts;
}
