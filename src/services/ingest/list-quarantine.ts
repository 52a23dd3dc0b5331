import { isUtf8 } from 'node:buffer';
import {
  type InputOf,
  PlatformError,
  type QuarantinedRecord,
  type ResultOf,
  type routes,
} from '../../contract/index.ts';
import { findContract, type IngestContext } from './context.ts';
import { findRefused, listRefused, type QuarantineRow } from './quarantine.ts';

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Whether a text can be the id of a quarantined record. */
export function isQuarantineId(text: string): boolean {
  return UUID.test(text);
}

/** A page of the source's quarantine, oldest first. */
export async function listQuarantine(
  context: IngestContext,
  input: InputOf<typeof routes.listQuarantine>,
): Promise<ResultOf<typeof routes.listQuarantine>> {
  const { source } = findContract(context, input.params.source);
  const { after, limit, ...filter } = input.query;
  if (after !== undefined && !isQuarantineId(after)) {
    throw new PlatformError('BAD_REQUEST', "'after' is the 'next' of the page before", {
      details: { after },
    });
  }
  const page = { after, limit, bytesMax: context.limits.pageBytesMax };
  const { rows, more } = await listRefused(context.host.tables, source.name, { filter, page });
  return { records: rows.map(describeRefused), next: more ? (rows.at(-1)?.id ?? null) : null };
}

/** One record of the quarantine. Rejects with RECORD_NOT_FOUND. */
export async function getQuarantined(
  context: IngestContext,
  input: InputOf<typeof routes.getQuarantined>,
): Promise<QuarantinedRecord> {
  const { id } = input.params;
  const { source } = findContract(context, input.params.source);
  const row = isQuarantineId(id) ? await findRefused(context.host.tables, source.name, id) : undefined;
  if (row === undefined) throw notInQuarantine(source.name, [id]);
  return describeRefused(row);
}

/** The error of ids that name no record of the quarantine. */
export function notInQuarantine(source: string, ids: readonly string[], then = ''): PlatformError {
  const text = `No record of '${source}' with the id ${ids[0] ?? ''} waits in quarantine${then}`;
  return new PlatformError('RECORD_NOT_FOUND', text, { details: { ids } });
}

/** A row of the quarantine as it is shown. */
export function describeRefused(row: QuarantineRow): QuarantinedRecord {
  const { id, at, code, field, reason, contract, bytes, state } = row;
  const { correction, corrected_by, corrected_at, dismissal, dismissed_by, dismissed_at } = row;
  return {
    id,
    at,
    code,
    field,
    reason,
    contract,
    bytes: bytes.toString('base64'),
    text: isUtf8(bytes) ? bytes.toString('utf8') : null,
    state,
    correction:
      correction === null
        ? null
        : {
            record: JSON.parse(correction.toString('utf8')) as Record<string, unknown>,
            by: corrected_by ?? '',
            at: corrected_at ?? 0,
          },
    dismissal:
      dismissal === null ? null : { reason: dismissal, by: dismissed_by ?? '', at: dismissed_at ?? 0 },
  };
}
