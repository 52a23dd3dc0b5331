import type { z } from 'zod';
import { type AnyRoute, PlatformError } from '../../contract/index.ts';
import type { HandlerEntry } from '../service.ts';

/** Most problems that one answer lists. */
const ISSUES_MAX = 10;
/** Characters of a value that an answer repeats. */
const SHOWN_CHARACTERS_MAX = 40;

/** Reads one part of a request. Throws BAD_REQUEST. */
export type PartReader = (given: unknown) => unknown;

/**
 * Compiles the reader of a part. `shown`: whether answers may repeat the values (those of bodies may be
 * personal).
 */
export function partReader(part: 'params' | 'query' | 'body', schema: z.ZodType, shown: boolean): PartReader {
  const isNothing = isEmptyObject(schema);
  return (given) => {
    if (isNothing && isEmptyInput(given)) return {};
    const result = schema.safeParse(given ?? {});
    if (result.success) return result.data;
    throw wrongPart(part, given ?? {}, result.error, shown);
  };
}

/** The readers of a route's parts, and the check of what its handler answers. */
export type RouteReaders = Readonly<Record<'params' | 'query' | 'body' | 'result', PartReader>>;

/**
 * Results of a route that are checked: the first ones of a process, which say whether this build answers as its
 * contract says, and then one of many. Checking each would cost the callers of large answers more than it tells.
 */
const RESULT_CHECKS = { first: 1_000, thenOneOf: 64 } as const;

/** Compiles the readers of a route. `raw`: its body is bytes that are handed over as they come. */
export function routeReaders(entry: HandlerEntry, raw: boolean): RouteReaders {
  const { route } = entry;
  return {
    params: partReader('params', route.params as z.ZodType, true),
    query: partReader('query', route.query as z.ZodType, true),
    body: raw ? (given) => given : partReader('body', route.body as z.ZodType, false),
    result: resultCheck(route),
  };
}

/** Gives back what it is given. Throws INTERNAL when that is not what the route answers, e.g. NaN for a number. */
function resultCheck(route: AnyRoute): PartReader {
  const schema = route.result as z.ZodType;
  let seen = 0;
  return (given) => {
    seen += 1;
    if (seen > RESULT_CHECKS.first && seen % RESULT_CHECKS.thenOneOf !== 0) return given;
    const checked = schema.safeParse(given);
    if (checked.success) return given;
    const cause = wrongPart('result', given, checked.error, false);
    throw new PlatformError('INTERNAL', `${route.name} came to an answer that its contract does not allow`, {
      cause,
    });
  };
}

function isEmptyObject(schema: z.ZodType): boolean {
  const { shape } = schema as { readonly shape?: object };
  return shape !== undefined && Object.keys(shape).length === 0;
}

function isEmptyInput(given: unknown): boolean {
  if (given === undefined) return true;
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return false;
  for (const _ in given) return false;
  return true;
}

interface Issue {
  readonly path: string;
  readonly expected: string;
  readonly got: string;
}

function wrongPart(part: string, given: unknown, error: z.ZodError, shown: boolean): PlatformError {
  const issues = error.issues.slice(0, ISSUES_MAX).map((issue) => describe(part, given, issue, shown));
  const texts = issues.map(({ path, expected, got }) => `${path}: expected ${expected}, got ${got}`);
  const more = error.issues.length - issues.length;
  return new PlatformError('BAD_REQUEST', texts.join('; ') + (more > 0 ? `; and ${String(more)} more` : ''), {
    details: { issues },
  });
}

function describe(part: string, given: unknown, issue: z.core.$ZodIssue, shown: boolean): Issue {
  let value = given;
  let path = part;
  for (const step of issue.path) {
    path += typeof step === 'number' ? `[${String(step)}]` : `.${String(step)}`;
    value =
      typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[step] : undefined;
  }
  if (issue.code === 'unrecognized_keys') {
    return {
      path,
      expected: 'only fields that the route knows',
      got: issue.keys.map((key) => `'${clip(key)}'`).join(', '),
    };
  }
  return { path, expected: expectation(issue), got: what(value, shown) };
}

function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return article(issue.expected);
    case 'invalid_value':
      return issue.values.map((value) => JSON.stringify(value)).join(' or ');
    case 'too_small':
      return bound(issue.origin, issue.inclusive === false ? 'more than' : 'at least', issue.minimum);
    case 'too_big':
      return bound(issue.origin, issue.inclusive === false ? 'less than' : 'at most', issue.maximum);
    case 'invalid_format':
      return issue.pattern === undefined
        ? `a text of the form ${issue.format}`
        : `a text like ${issue.pattern}`;
    case 'not_multiple_of':
      return `a multiple of ${String(issue.divisor)}`;
    case 'unrecognized_keys':
    case 'invalid_union':
    case 'invalid_key':
    case 'invalid_element':
    case 'custom':
      return `something else (${issue.message})`;
  }
}

function bound(origin: string, word: string, limit: number | bigint): string {
  const unit = origin === 'string' ? ' characters' : origin === 'array' ? ' items' : '';
  return `${word} ${String(limit)}${unit}`;
}

function article(type: string): string {
  if (type === 'int') return 'a whole number';
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}

function what(value: unknown, shown: boolean): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return `an array of ${String(value.length)}`;
  if (typeof value === 'object') return 'an object';
  if (typeof value === 'number' && Number.isNaN(value)) return 'no number';
  return shown && typeof value === 'string' ? `'${clip(value)}'` : `a ${typeof value}`;
}

function clip(text: string): string {
  return text.length <= SHOWN_CHARACTERS_MAX ? text : `${text.slice(0, SHOWN_CHARACTERS_MAX)}...`;
}
