import { isUtf8 } from 'node:buffer';
import {
  type InputOf,
  PlatformError,
  type QuarantinedRecord,
  type ResultOf,
  type routes,
} from '../../contract/index.ts';
import { findContract, type IngestContext } from './context.ts';
import { listRefused, type QuarantineRow } from './quarantine.ts';

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
  const { after, limit } = input.query;
  if (after !== undefined && !isQuarantineId(after)) {
    throw new PlatformError('BAD_REQUEST', "'after' is the 'next' of the page before", {
      details: { after },
    });
  }
  const page = { after, limit, bytesMax: context.limits.pageBytesMax };
  const { rows, more } = await listRefused(context.host.tables, source.name, page);
  return { records: rows.map(describe), next: more ? (rows.at(-1)?.id ?? null) : null };
}

function describe(row: QuarantineRow): QuarantinedRecord {
  const { id, at, code, field, reason, contract, bytes } = row;
  const text = isUtf8(bytes) ? bytes.toString('utf8') : null;
  return { id, at, code, field, reason, contract, bytes: bytes.toString('base64'), text };
}
