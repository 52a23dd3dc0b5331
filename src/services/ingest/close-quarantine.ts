import {
  type InputOf,
  PlatformError,
  type QuarantinedRecord,
  type ResultOf,
  type routes,
} from '../../contract/index.ts';
import type { CallContext } from '../../runtime/index.ts';
import { findContract, type IngestContext } from './context.ts';
import { describeRefused, isQuarantineId, notInQuarantine } from './list-quarantine.ts';
import { correctRefused, dismissRefused } from './quarantine.ts';

/**
 * Keeps a corrected record for the replay. Rejects with UNPROCESSABLE when it breaks the contract too: a correction without an
 * id could not be told from a second event after a crash.
 */
export async function correctQuarantined(
  context: IngestContext,
  input: InputOf<typeof routes.correctQuarantined>,
  call: CallContext,
): Promise<QuarantinedRecord> {
  const { host, limits } = context;
  const { id } = input.params;
  const contract = findContract(context, input.params.source);
  const source = contract.source.name;
  const bytes = Buffer.from(JSON.stringify(input.body.record));
  const now = host.clock.now();
  const result =
    bytes.length > limits.recordBytesMax
      ? { rejection: contract.tooLarge }
      : contract.readValue(input.body.record, now);
  if ('rejection' in result) {
    const { code, reason, field } = result.rejection;
    throw new PlatformError('UNPROCESSABLE', `The correction breaks the contract too: ${reason}`, {
      details: { id, reasonCode: code, ...(field === undefined ? {} : { field }) },
    });
  }
  const row = isQuarantineId(id)
    ? await correctRefused(host.tables, { source, id }, { bytes, by: call.principal.subject, at: now })
    : undefined;
  if (row === undefined) throw notInQuarantine(source, [id]);
  return describeRefused(row);
}

/** Says that records will not be replayed. Again, it changes nothing. Rejects with RECORD_NOT_FOUND after dismissing the others. */
export async function dismissQuarantined(
  context: IngestContext,
  input: InputOf<typeof routes.dismissQuarantined>,
  call: CallContext,
): Promise<ResultOf<typeof routes.dismissQuarantined>> {
  const { host } = context;
  const source = findContract(context, input.params.source).source.name;
  const { reason } = input.body;
  const ids = [...new Set(input.body.ids)];
  const dismissed = await dismissRefused(
    host.tables,
    { source, ids: ids.filter(isQuarantineId) },
    { reason, by: call.principal.subject, at: host.clock.now() },
  );
  const unknown = ids.filter((id) => !dismissed.includes(id));
  if (unknown.length > 0) throw notInQuarantine(source, unknown, '; the others are dismissed');
  return { dismissed: dismissed.length };
}
