import { PlatformError } from '../../contract/index.ts';

/** Why credentials do not count; a label of the metric and a word of the log. */
export type FailureReason =
  | 'missing'
  | 'malformed'
  | 'unknown'
  | 'revoked'
  | 'expired'
  | 'signature'
  | 'claims'
  | 'role'
  | 'forwarded';

const TEXTS: Readonly<Record<FailureReason, string>> = {
  missing: "expected 'Authorization: Bearer' with an API key or a token, got none",
  malformed: "expected 'Authorization: Bearer' with an API key (tk_...) or a token (JWT), got something else",
  unknown: 'the key or the signer of the token is not known here',
  revoked: 'the key was revoked',
  expired: 'the key or the token is no longer valid',
  signature: 'the token is not signed with a key and an algorithm that count here',
  claims: 'the token is not from the issuer, for the audience or of the form that is expected here',
  role: 'the token names no role of this deployment',
  forwarded: 'the gateway did not say for whom it asks',
};

/** Credentials that do not count. Its text never repeats them. */
export class AuthFailure extends PlatformError {
  readonly reason: FailureReason;

  constructor(reason: FailureReason, cause?: unknown) {
    super('UNAUTHENTICATED', `authorization: ${TEXTS[reason]}`, { details: { reason }, cause });
    this.reason = reason;
  }
}
