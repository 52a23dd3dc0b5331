import { type IngestResult, type InputOf, PlatformError, type routes } from '../../contract/index.ts';
import { type CallContext, isRawBody } from '../../runtime/index.ts';
import { findContract, type IngestContext } from './context.ts';
import { FORMS } from './forms.ts';
import { Intake } from './intake.ts';

/**
 * Makes the good records of a body durable and puts the bad ones into quarantine. Rejects with what was wrong with the
 * request as a whole or with the store; the details then say what has become durable all the same.
 */
export function ingestEvents(
  context: IngestContext,
  input: InputOf<typeof routes.ingestEvents>,
  call: CallContext,
): Promise<IngestResult> {
  const contract = findContract(context, input.params.source);
  const { body } = input;
  if (!isRawBody(body)) throw new PlatformError('BAD_REQUEST', 'Expected a body with a media type');
  const read = FORMS.get(body.mediaType);
  if (read === undefined) {
    const expected = [...FORMS.keys()];
    throw new PlatformError(
      'UNSUPPORTED_MEDIA_TYPE',
      `Expected a body of ${expected.join(', ')}; got '${body.mediaType.slice(0, 100)}'`,
      { details: { expected } },
    );
  }
  return context.load.run(async () => {
    const listAccepted = input.query.results === 'all';
    const intake = new Intake(context, contract, { listAccepted, call });
    try {
      await read(body, intake, { limits: context.limits, warehouse: context.host.warehouse });
      return await intake.finish();
    } catch (error) {
      throw await intake.fail(error);
    } finally {
      intake.close();
    }
  });
}
