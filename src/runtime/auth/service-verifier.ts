import type { JWTPayload } from 'jose';
import { decodeProtectedHeader } from 'jose/decode/protected_header';
import { jwtVerify } from 'jose/jwt/verify';
import { importJWK } from 'jose/key/import';
import type { Principal, ServiceName } from '../../contract/index.ts';
import type { Clock, Instance } from '../ports/index.ts';
import { AuthFailure } from './failure.ts';
import { SERVICE_ALGORITHM, SERVICE_ISSUER, SERVICE_TOKEN, serviceSubject } from './service-identity.ts';

/** Look-ups of signers that are not in the list: so many in a row, and then so many a second. */
const LOOKUPS = { burst: 20, perSecond: 5 } as const;
/** Signers that are remembered. */
const SIGNERS_MAX = 1_000;

/** A service that proved who it is. */
export interface VerifiedService {
  readonly service: ServiceName;
  readonly principal: Principal;
  /** Until when the proof counts, in milliseconds UTC. */
  readonly expiresAt: number;
}

export interface ServiceVerifierParts {
  /** Services of this process: whom a token must be for. */
  readonly audience: readonly ServiceName[];
  /** What the list of instances says of one at this moment. */
  readonly known: (id: string) => readonly Instance[];
  /** Asks the store about an instance that is not in the list. */
  readonly find: (id: string) => Promise<readonly Instance[]>;
  readonly clock: Clock;
}

/** Checks tokens of other services against the keys that their processes announced. */
export class ServiceVerifier {
  readonly #parts: ServiceVerifierParts;
  /** Also of instances that are not announced any more: their last calls are under way. */
  readonly #signers = new Map<string, readonly Instance[]>();
  #lookups: number = LOOKUPS.burst;
  #lookupsAtMs = 0;

  constructor(parts: ServiceVerifierParts) {
    this.#parts = parts;
  }

  /** Rejects with an {@link AuthFailure}, or UNAVAILABLE when the store cannot say whose token it is. */
  async verify(token: string): Promise<VerifiedService> {
    const { clock, audience } = this.#parts;
    const signer = await this.#signerOf(token);
    const key = await importJWK({ kty: 'OKP', crv: 'Ed25519', x: signer[0]?.key ?? '' }, SERVICE_ALGORITHM);
    let payload: JWTPayload;
    try {
      ({ payload } = await jwtVerify(token, key, {
        algorithms: [SERVICE_ALGORITHM],
        issuer: SERVICE_ISSUER,
        audience: [...audience],
        requiredClaims: ['sub', 'exp', 'iat'],
        maxTokenAge: SERVICE_TOKEN.validS,
        clockTolerance: SERVICE_TOKEN.skewS,
        currentDate: new Date(clock.now()),
      }));
    } catch (error) {
      throw jwtFailure(error);
    }
    const { sub: subject = '', exp = 0 } = payload;
    const found = signer.find(({ service, id }) => serviceSubject(service, id) === subject);
    if (found === undefined) throw new AuthFailure('claims');
    return {
      service: found.service,
      principal: Object.freeze({ subject, roles: Object.freeze(['service'] as const) }),
      expiresAt: exp * 1_000,
    };
  }

  async #signerOf(token: string): Promise<readonly Instance[]> {
    let kid: string | undefined;
    try {
      ({ kid } = decodeProtectedHeader(token));
    } catch (error) {
      throw new AuthFailure('malformed', error);
    }
    if (typeof kid !== 'string' || !/^[\w-]{1,64}$/.test(kid)) throw new AuthFailure('malformed');
    const listed = this.#parts.known(kid);
    const known = listed.length > 0 ? listed : this.#signers.get(kid);
    const found = known ?? (await this.#lookUp(kid));
    if (found.every(({ key }) => key === undefined)) throw new AuthFailure('unknown');
    this.#remember(kid, found);
    return found;
  }

  /** Anybody can send made-up names: they must not become as many questions to the database. */
  async #lookUp(id: string): Promise<readonly Instance[]> {
    const now = this.#parts.clock.monotonic();
    const grown = ((now - this.#lookupsAtMs) / 1_000) * LOOKUPS.perSecond;
    this.#lookups = Math.min(LOOKUPS.burst, this.#lookups + grown);
    this.#lookupsAtMs = now;
    if (this.#lookups < 1) return [];
    this.#lookups -= 1;
    return this.#parts.find(id);
  }

  #remember(id: string, instances: readonly Instance[]): void {
    this.#signers.delete(id);
    this.#signers.set(id, instances);
    const [oldest] = this.#signers.keys();
    if (this.#signers.size > SIGNERS_MAX && oldest !== undefined) this.#signers.delete(oldest);
  }
}

/** Why the library refused a token. */
export function jwtFailure(error: unknown): AuthFailure {
  const { code } = error as { readonly code?: unknown };
  switch (code) {
    case 'ERR_JWT_EXPIRED':
      return new AuthFailure('expired', error);
    case 'ERR_JWT_CLAIM_VALIDATION_FAILED':
      return new AuthFailure('claims', error);
    case 'ERR_JWKS_NO_MATCHING_KEY':
    case 'ERR_JWKS_MULTIPLE_MATCHING_KEYS':
      return new AuthFailure('unknown', error);
    case 'ERR_JWS_INVALID':
    case 'ERR_JWT_INVALID':
      return new AuthFailure('malformed', error);
    default:
      return new AuthFailure('signature', error);
  }
}
