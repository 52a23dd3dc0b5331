/**
 * Every error that leaves a service has a code from this table. The status is what HTTP answers, `retryable` is the
 * only place where a client learns whether the same request may be sent again, and `text` is the title of the problem
 * document (RFC 9457). docs/reference/errors.md is generated from it and compared by a test.
 */
export const ERROR_CODES = {
  BAD_REQUEST: { status: 400, retryable: false, text: 'The request is not of the form this route takes' },
  UNAUTHENTICATED: { status: 401, retryable: false, text: 'No valid credentials came with the request' },
  PERMISSION_DENIED: { status: 403, retryable: false, text: 'These credentials do not allow this action' },
  ROUTE_NOT_FOUND: { status: 404, retryable: false, text: 'There is no such route' },
  SOURCE_NOT_FOUND: { status: 404, retryable: false, text: 'The app defines no source of this name' },
  VECTOR_NOT_FOUND: { status: 404, retryable: false, text: 'The app defines no vector of this name' },
  MODEL_NOT_FOUND: { status: 404, retryable: false, text: 'There is no such model or model version' },
  DECISION_NOT_FOUND: {
    status: 404,
    retryable: false,
    text: 'There is no such decision or recommendation, or no record of it',
  },
  DATASET_NOT_FOUND: { status: 404, retryable: false, text: 'There is no dataset of this id' },
  RUN_NOT_FOUND: { status: 404, retryable: false, text: 'There is no run of this id' },
  VERIFICATION_NOT_FOUND: { status: 404, retryable: false, text: 'There is no verification of this id' },
  RELEASE_NOT_FOUND: { status: 404, retryable: false, text: 'There is no such release' },
  KEY_NOT_FOUND: { status: 404, retryable: false, text: 'There is no API key of this id' },
  REVIEW_NOT_FOUND: { status: 404, retryable: false, text: 'There is no review of this decision' },
  RECORD_NOT_FOUND: { status: 404, retryable: false, text: 'There is no record of this id' },
  OBJECT_NOT_FOUND: { status: 404, retryable: false, text: 'No object with this digest is stored' },
  TOPIC_NOT_FOUND: { status: 404, retryable: false, text: 'The event log has no topic of this name' },
  METHOD_NOT_ALLOWED: { status: 405, retryable: false, text: 'The route exists but not with this method' },
  CONFLICT: { status: 409, retryable: false, text: 'The state has moved on: read it again and decide anew' },
  GATE_FAILED: { status: 409, retryable: false, text: 'The model version did not pass its gates' },
  BUILD_INCOMPATIBLE: { status: 409, retryable: false, text: 'The build cannot run beside what runs now' },
  BUILD_ROLLED_BACK: { status: 409, retryable: false, text: 'The build failed, and the one before is back' },
  FENCED: { status: 409, retryable: false, text: 'Another owner holds the partition: this owner must stop' },
  OFFSET_OUT_OF_RANGE: { status: 410, retryable: false, text: 'The offset was dropped by retention' },
  BODY_TOO_LARGE: { status: 413, retryable: false, text: 'The body is larger than the limit' },
  UNSUPPORTED_MEDIA_TYPE: {
    status: 415,
    retryable: false,
    text: 'The content type is not one this route takes',
  },
  UNPROCESSABLE: {
    status: 422,
    retryable: false,
    text: 'The request is well formed but cannot be carried out',
  },
  TOO_MANY_REQUESTS: { status: 429, retryable: true, text: 'The limit on requests is reached' },
  INTERNAL: {
    status: 500,
    retryable: false,
    text: 'An unexpected error; the log of the service has the details',
  },
  UNAVAILABLE: { status: 503, retryable: true, text: 'A part that this request needs is not available now' },
  NO_RELEASE: { status: 503, retryable: true, text: 'The decision or recommendation has no release yet' },
  BACKFILL_RUNNING: { status: 503, retryable: true, text: 'The features are still being built from history' },
  OVERLOADED: { status: 503, retryable: true, text: 'The service has more work than it can finish in time' },
  DEADLINE_EXCEEDED: { status: 504, retryable: true, text: 'The deadline passed before the work was done' },
  STORAGE_FULL: { status: 507, retryable: true, text: 'The disk of the store is full' },
  UNSAFE_DATABASE: { status: 500, retryable: false, text: 'The database would lose acknowledged writes' },
  CONFIGURATION: { status: 500, retryable: false, text: 'The configuration is wrong' },
  DEFINITION: { status: 500, retryable: false, text: 'The app definition is wrong' },
} as const satisfies Record<string, ErrorEntry>;

export interface ErrorEntry {
  readonly status: number;
  readonly retryable: boolean;
  readonly text: string;
}

export type ErrorCode = keyof typeof ERROR_CODES;

export interface PlatformErrorOptions {
  /** Machine-readable facts: what was expected, what came, which id. Sent to the caller, so no secrets. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** The error underneath. Logged, never sent. */
  readonly cause?: unknown;
}

const BRAND = Symbol.for('tandem.PlatformError');

/**
 * The one error class of the platform: a code of {@link ERROR_CODES}, a message that says what was expected and what
 * came, and details. Use {@link PlatformError.is} rather than `instanceof`: a team's app may load a second copy of the
 * library.
 */
export class PlatformError extends Error {
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(code: ErrorCode, message: string, options: PlatformErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'PlatformError';
    this.code = code;
    this.details = options.details;
    Object.defineProperty(this, BRAND, { value: true });
  }

  get status(): number {
    return ERROR_CODES[this.code].status;
  }

  get retryable(): boolean {
    return ERROR_CODES[this.code].retryable;
  }

  static is(error: unknown): error is PlatformError {
    return typeof error === 'object' && error !== null && BRAND in error;
  }
}

/** The body of every error answer: a problem document (RFC 9457) with the code and facts of {@link PlatformError}. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: ErrorCode;
  readonly detail: string;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly requestId?: string;
}

/** Makes the problem document of an error. An error that is not a {@link PlatformError} says nothing of itself. */
export function toProblem(error: unknown, requestId?: string): Problem {
  const known = PlatformError.is(error)
    ? error
    : new PlatformError('INTERNAL', 'An unexpected error happened; quote the request id to the operator');
  const entry = ERROR_CODES[known.code];
  return {
    type: `urn:tandem:error:${known.code}`,
    title: entry.text,
    status: entry.status,
    code: known.code,
    detail: known.message,
    ...(known.details === undefined ? {} : { details: known.details }),
    ...(requestId === undefined ? {} : { requestId }),
  };
}

/** Turns a received problem document back into the error it was made of; `undefined` when it is not one. */
export function fromProblem(body: unknown): PlatformError | undefined {
  if (typeof body !== 'object' || body === null) return undefined;
  const { code, detail, details } = body as Partial<Problem>;
  if (typeof code !== 'string' || !Object.hasOwn(ERROR_CODES, code)) return undefined;
  return new PlatformError(
    code,
    typeof detail === 'string' ? detail : code,
    details === undefined ? {} : { details },
  );
}
