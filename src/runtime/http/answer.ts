import type { FastifyReply } from 'fastify';
import { ERROR_CODES, PlatformError, type Problem, toProblem } from '../../contract/index.ts';
import { internalError } from '../call.ts';
import { BEGUN_HEADER, STOPPING_HEADER } from './headers.ts';

/** Seconds after which a client may try again when the error itself says nothing. */
const RETRY_AFTER_SECONDS = 1;

/** Sends a result. */
export function sendResult(reply: FastifyReply, result: unknown): void {
  reply.header('content-type', 'application/json; charset=utf-8');
  void reply.send(JSON.stringify(result ?? null));
}

/** Sends an error as a problem document. */
export function sendError(reply: FastifyReply, error: PlatformError): void {
  const { status, headers, body } = problemAnswer(error, reply.request.id);
  void reply.code(status).headers(headers).send(body);
}

/** The answer that an error makes. */
export function problemAnswer(
  error: PlatformError,
  requestId: string,
): { readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly body: string } {
  const { status } = ERROR_CODES[error.code];
  const allow = error.details?.['allow'];
  const headers = {
    'content-type': 'application/problem+json; charset=utf-8',
    ...(status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
    ...(status === 429 || status === 503 ? { 'retry-after': retryAfter(error) } : {}),
    ...(status === 405 && Array.isArray(allow) ? { allow: allow.join(', ') } : {}),
  };
  return { status, headers, body: JSON.stringify(toProblem(error, requestId)) };
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
