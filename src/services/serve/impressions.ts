import { type Event, PlatformError } from '../../contract/index.ts';
import { ID_LENGTH_MAX, type Source } from '../../define/index.ts';

/** How a candidate becomes an event of the source of impressions. */
export interface ImpressionMapping {
  readonly request: Source;
  readonly impressions: Source;
  readonly item: string;
  readonly score: string | null;
  /** Fields that are the request's of the same name. */
  readonly copied: readonly string[];
}

/** A request as it came and as it was read. */
export interface ReadRequest {
  readonly record: Readonly<Record<string, unknown>>;
  readonly event: Event;
}

/**
 * The id of the impression of an item. Throws BAD_REQUEST when the two make an id that is too long for one.
 */
export function impressionId({ event }: Pick<ReadRequest, 'event'>, item: string): string {
  const id = `${event.id}:${item}`;
  if (id.length <= ID_LENGTH_MAX) return id;
  throw new PlatformError(
    'BAD_REQUEST',
    `The request's id of ${String(event.id.length)} characters and item '${item}' make an impression's id of ` +
      `${String(id.length)}, ${String(ID_LENGTH_MAX)} at most are allowed: shorten the request's`,
    { details: { code: 'FIELD_RANGE', item } },
  );
}

/** Compiles how the impressions of a request are made: the same record for the same request, item and score. */
export function compileImpressions(
  mapping: ImpressionMapping,
): (request: ReadRequest, item: string, score: number) => Record<string, unknown> {
  const { request, impressions, item: itemField, score: scoreField, copied } = mapping;
  // Ids and keys may come as numbers, which is not what a text is.
  const isName = (field: string): boolean => ['id', 'key'].includes(request.fields[field]?.kind ?? '');
  const names = copied.filter(isName);
  const others = copied.filter((field) => !isName(field));
  return ({ record, event }, item, score) => {
    const made: Record<string, unknown> = {
      [impressions.id]: impressionId({ event }, item),
      [impressions.time]: event.time,
      [itemField]: item,
    };
    if (scoreField !== null) made[scoreField] = score;
    for (const field of names) made[field] = event.values[field];
    for (const field of others) if (record[field] !== undefined) made[field] = record[field];
    return made;
  };
}
