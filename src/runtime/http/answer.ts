import type { ServerResponse } from 'node:http';
import { ERROR_CODES, PlatformError, type Problem, toProblem } from '../../contract/index.ts';
import { internalError } from '../call.ts';
import { BEGUN_HEADER, STOPPING_HEADER } from './headers.ts';

/** Seconds after which a client may try again when the error itself says nothing. */
const RETRY_AFTER_SECONDS = 1;

/** An answer that is there as a whole. */
export interface WholeAnswer {
  readonly status: number;
  /** Names and values of headers in turn, but for its length. */
  readonly head: readonly string[];
  readonly body: string;
}

const JSON_HEAD = Object.freeze(['content-type', 'application/json; charset=utf-8']);

/** The answer that a result makes. */
export function resultAnswer(result: unknown): WholeAnswer {
  return { status: 200, head: JSON_HEAD, body: JSON.stringify(result ?? null) };
}

/** The answer that an error makes. */
export function problemAnswer(error: PlatformError, requestId: string): WholeAnswer {
  const { status } = ERROR_CODES[error.code];
  const head = ['content-type', 'application/problem+json; charset=utf-8'];
  if (status === 401) head.push('www-authenticate', 'Bearer');
  if (status === 429 || status === 503) head.push('retry-after', retryAfter(error));
  const allow = error.details?.['allow'];
  if (status === 405 && Array.isArray(allow)) head.push('allow', allow.join(', '));
  return { status, head, body: JSON.stringify(toProblem(error, requestId)) };
}

/**
 * Sends an answer after these headers, in one write: headers that are set one by one are checked and kept one by one, and a body
 * that is not a text leaves apart from them. When something else was sent before, the connection ends.
 */
export function send(response: ServerResponse, head: readonly string[], answer: WholeAnswer): void {
  if (response.headersSent) return void response.destroy();
  const length = String(Buffer.byteLength(answer.body));
  response.writeHead(answer.status, [...head, ...answer.head, 'content-length', length]).end(answer.body);
}

function retryAfter(error: PlatformError): string {
  const ms = error.details?.['retryAfterMs'];
  return String(typeof ms === 'number' && ms > 0 ? Math.ceil(ms / 1_000) : RETRY_AFTER_SECONDS);
}

/** Makes a platform error of whatever was thrown: by a handler, or by the HTTP library about a request. */
export function toPlatformError(error: unknown): PlatformError {
  if (PlatformError.is(error)) return error;
  const { code, statusCode, message } = error as { code?: unknown; statusCode?: unknown; message?: unknown };
  if (typeof code !== 'string' || !code.startsWith('FST_ERR_')) return internalError(error);
  const text = String(message);
  switch (statusCode) {
    case 400:
      return new PlatformError('BAD_REQUEST', text, { cause: error });
    case 404:
      return new PlatformError('ROUTE_NOT_FOUND', text, { cause: error });
    case 413:
      return new PlatformError('BODY_TOO_LARGE', text, { cause: error });
    case 415:
      return new PlatformError('UNSUPPORTED_MEDIA_TYPE', text, { cause: error });
    default:
      return internalError(error);
  }
}

const RAW_ERRORS: Readonly<Record<string, readonly [status: number, reason: string, text: string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout', 'The request took too long to arrive'],
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large', 'The headers are larger than the limit'],
};

/**
 * The bytes that answer something that is no HTTP request, or one that came too slowly. The connection ends
 * with it.
 */
export function rawAnswer(code: string | undefined): string {
  const [status, reason, text] = RAW_ERRORS[code ?? ''] ?? [
    400,
    'Bad Request',
    'This is not an HTTP request',
  ];
  return rawProblem({ ...toProblem(new PlatformError('BAD_REQUEST', text)), status }, reason);
}

/** The bytes that refuse whatever request may be on its way, on a connection that ends with it. */
export function rawRefusal(error: PlatformError): string {
  return rawProblem(toProblem(error), 'Refused', `${BEGUN_HEADER}: no\r\n${STOPPING_HEADER}: yes\r\n`);
}

function rawProblem(problem: Problem, reason: string, headers = ''): string {
  const body = JSON.stringify(problem);
  return (
    `HTTP/1.1 ${String(problem.status)} ${reason}\r\nconnection: close\r\n${headers}` +
    `content-type: application/problem+json; charset=utf-8\r\n` +
    `content-length: ${String(Buffer.byteLength(body))}\r\n\r\n${body}`
  );
}
