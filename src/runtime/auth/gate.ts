import type { IncomingHttpHeaders } from 'node:http';
import { decodeJwt } from 'jose/jwt/decode';
import { LOCAL_PRINCIPAL, PlatformError, type Principal } from '../../contract/index.ts';
import type { Clock } from '../ports/index.ts';
import type { Counter, Logger, Metrics } from '../service.ts';
import { KEY_PREFIX, readApiKey } from './api-key.ts';
import { AuthFailure } from './failure.ts';
import { PRINCIPAL_HEADER, readPrincipal } from './forwarded.ts';
import type { JwtVerifier } from './jwt-verifier.ts';
import type { KeyRing } from './key-ring.ts';
import { SERVICE_ISSUER } from './service-identity.ts';
import type { ServiceVerifier } from './service-verifier.ts';
import { Throttle, type ThrottleOptions } from './throttle.ts';

/** Limits of the gate. */
const GATE_LIMITS = {
  /** Credentials whose verdict is remembered. */
  rememberedMax: 10_000,
  /** How long the verdict on a token counts at most, in milliseconds: a signer that was dropped ends after it. */
  tokenMs: 60_000,
  /** Length of an `authorization` header, in characters. */
  charactersMax: 8_192,
} as const;

/** A request that wants to come in. */
export interface Visitor {
  readonly headers: IncomingHttpHeaders;
  /** Where it comes from; asked for when its credentials are not known yet. */
  readonly address: () => string;
}

/** Says who makes a request: at once when the credentials were seen a moment ago. Rejects with a PlatformError. */
export interface Gate {
  readonly isOpen: boolean;
  enter(visitor: Visitor): Principal | Promise<Principal>;
}

/** Lets everybody in as an admin: for a server that only its own machine can reach. */
export const openGate: Gate = Object.freeze({ isOpen: true, enter: () => LOCAL_PRINCIPAL });

export interface GateParts {
  readonly keyRing: KeyRing;
  readonly services: ServiceVerifier;
  /** `undefined`: no issuer is configured, and no tokens of people count. */
  readonly tokens: JwtVerifier | undefined;
  readonly throttle: ThrottleOptions;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

interface Verdict {
  readonly principal: Principal;
  /** Whether the request may be made for somebody else. */
  readonly isGateway: boolean;
  /** Until when it counts, by the wall clock. */
  readonly expiresAt: number;
  /** Revision of the keys by which it was found; `undefined` when they do not matter. */
  readonly keyRevision: number | undefined;
}

/** Asks everybody for credentials: an API key, a token of the configured issuer, or that of another service. */
export class GuardedGate implements Gate {
  readonly isOpen = false;
  readonly #parts: GateParts;
  readonly #throttle: Throttle;
  readonly #failures: Counter;
  readonly #verdicts = new Map<string, Verdict>();
  /** Those for whom gateways ask, by their header. */
  readonly #forwarded = new Map<string, Principal>();

  constructor(parts: GateParts) {
    this.#parts = parts;
    this.#throttle = new Throttle(parts.throttle, parts.clock);
    this.#failures = parts.metrics.counter('failures_total', 'Requests without credentials that count', [
      'reason',
    ]);
  }

  enter(visitor: Visitor): Principal | Promise<Principal> {
    const { authorization } = visitor.headers;
    const known = authorization === undefined ? undefined : this.#verdicts.get(authorization);
    if (known !== undefined && this.#counts(known)) return this.#principalOf(known, visitor);
    return this.#ask(authorization, visitor);
  }

  #counts({ expiresAt, keyRevision }: Verdict): boolean {
    if (keyRevision !== undefined && keyRevision !== this.#parts.keyRing.revision) return false;
    return expiresAt > this.#parts.clock.now();
  }

  async #ask(authorization: string | undefined, visitor: Visitor): Promise<Principal> {
    try {
      const text = bearer(authorization);
      const verdict = await this.#judge(text, visitor);
      remember(this.#verdicts, authorization ?? '', verdict);
      return this.#principalOf(verdict, visitor);
    } catch (error) {
      throw this.#failed(error, visitor);
    }
  }

  async #judge(text: string, visitor: Visitor): Promise<Verdict> {
    const { services, tokens, clock } = this.#parts;
    const isKey = text.startsWith(KEY_PREFIX);
    // Calls between services go on while somebody guesses at the same address.
    if (!isKey && issuerOf(text) === SERVICE_ISSUER) {
      const { service, principal, expiresAt } = await services.verify(text);
      return { principal, isGateway: service === 'gateway', expiresAt, keyRevision: undefined };
    }
    const waitMs = this.#throttle.waitMs(visitor.address());
    if (waitMs > 0) throw tooManyFailures(waitMs);
    if (isKey) return this.#judgeKey(text);
    if (tokens === undefined) throw new AuthFailure('unknown');
    const { principal, expiresAt } = await tokens.verify(text);
    const until = Math.min(expiresAt, clock.now() + GATE_LIMITS.tokenMs);
    return { principal, isGateway: false, expiresAt: until, keyRevision: undefined };
  }

  #judgeKey(text: string): Verdict {
    const { keyRing } = this.#parts;
    const parts = readApiKey(text);
    if (parts === undefined) throw new AuthFailure('malformed');
    const found = keyRing.find(parts);
    if (typeof found === 'string') throw new AuthFailure(found);
    return {
      principal: Object.freeze({ subject: `key:${found.id}`, roles: Object.freeze([found.role]) }),
      isGateway: false,
      expiresAt: found.expiresAt ?? Number.POSITIVE_INFINITY,
      keyRevision: keyRing.revision,
    };
  }

  /** Who the request is for: whoever sent it, or whom the gateway names. */
  #principalOf({ principal, isGateway }: Verdict, visitor: Visitor): Principal {
    if (!isGateway) return principal;
    const header = visitor.headers[PRINCIPAL_HEADER];
    if (typeof header !== 'string') throw new AuthFailure('forwarded');
    let found = this.#forwarded.get(header);
    if (found === undefined) {
      found = readPrincipal(header);
      if (found === undefined) throw new AuthFailure('forwarded');
      remember(this.#forwarded, header, found);
    }
    return found;
  }

  #failed(error: unknown, visitor: Visitor): unknown {
    const { logger } = this.#parts;
    if (!(error instanceof AuthFailure)) {
      const isThrottled = PlatformError.is(error) && error.code === 'TOO_MANY_REQUESTS';
      if (isThrottled) this.#failures.add(1, { reason: 'throttled' });
      return error;
    }
    const { reason } = error;
    this.#failures.add(1, { reason });
    // Who shows nothing guesses nothing: probes and browsers do it all the time.
    if (reason === 'missing') return error;
    this.#throttle.failed(visitor.address());
    logger.warn('Credentials were refused', { reason, address: visitor.address() });
    return error;
  }
}

function bearer(authorization: string | undefined): string {
  if (authorization === undefined) throw new AuthFailure('missing');
  if (authorization.length > GATE_LIMITS.charactersMax) throw new AuthFailure('malformed');
  const [, text] = /^Bearer +([\w.~+/=-]+)$/i.exec(authorization) ?? [];
  if (text === undefined) throw new AuthFailure('malformed');
  return text;
}

/** Who says to have issued a token; nothing of it is checked yet. */
function issuerOf(token: string): string | undefined {
  try {
    return decodeJwt(token).iss;
  } catch (error) {
    throw new AuthFailure('malformed', error);
  }
}

function remember<TValue>(verdicts: Map<string, TValue>, name: string, value: TValue): void {
  verdicts.delete(name);
  verdicts.set(name, value);
  const [oldest] = verdicts.keys();
  if (verdicts.size > GATE_LIMITS.rememberedMax && oldest !== undefined) verdicts.delete(oldest);
}

function tooManyFailures(waitMs: number): PlatformError {
  return new PlatformError(
    'TOO_MANY_REQUESTS',
    `authorization: too many wrong credentials came from this address; wait ${String(Math.ceil(waitMs / 1_000))} s`,
    { details: { retryAfterMs: Math.ceil(waitMs) } },
  );
}
