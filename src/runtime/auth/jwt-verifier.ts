import {
  createLocalJWKSet,
  createRemoteJWKSet,
  type JSONWebKeySet,
  type JWTPayload,
  jwtVerify,
  type JWTVerifyGetKey,
} from 'jose';
import { type Principal, PlatformError, type Role, ROLES } from '../../contract/index.ts';
import type { Clock } from '../ports/index.ts';
import { AuthFailure } from './failure.ts';
import { SUBJECT_CHARACTERS_MAX } from './forwarded.ts';
import { jwtFailure } from './service-verifier.ts';

/** Only algorithms of which the verifying half can be published: what is secret with us could be signed with by anybody. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'EdDSA'];

/** Times of key sets that are fetched, in milliseconds. */
const KEY_SET = {
  /** How long the issuer's server may take. */
  timeoutMs: 5_000,
  /** A signer that is not in the set makes it be fetched anew, but not more often than this. */
  cooldownMs: 30_000,
  /** After this it is fetched anew all the same, so that keys that were taken out of it end. */
  refreshMs: 300_000,
} as const;
/** By how much the issuer's clock may differ, in seconds. */
const SKEW_S = 30;

export interface JwtOptions {
  /** Who must have issued a token. */
  readonly issuer: string;
  /** Whom it must be for. */
  readonly audience: string;
  /** Public keys of the issuer: as they are, or where they are. */
  readonly keys: JSONWebKeySet | URL;
  /** Path of the claim that has the roles or groups, e.g. `realm_access.roles`. */
  readonly rolesClaim: string;
  /** Role by value of the claim. Empty: the values are roles. */
  readonly roles: Readonly<Record<string, Role>>;
}

/** A person or an application that an issuer vouches for. */
export interface VerifiedToken {
  readonly principal: Principal;
  /** Until when the token counts, in milliseconds UTC. */
  readonly expiresAt: number;
}

/** Checks tokens of an OpenID Connect issuer. */
export class JwtVerifier {
  readonly #options: JwtOptions;
  readonly #clock: Clock;
  readonly #keys: JWTVerifyGetKey;

  constructor(options: JwtOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
    this.#keys =
      options.keys instanceof URL ? remoteKeys(options.keys, clock) : createLocalJWKSet(options.keys);
  }

  /** Rejects with an {@link AuthFailure}, or UNAVAILABLE when the issuer's keys were never seen. */
  async verify(token: string): Promise<VerifiedToken> {
    const { issuer, audience } = this.#options;
    let payload: JWTPayload;
    try {
      ({ payload } = await jwtVerify(token, this.#keys, {
        algorithms: ALGORITHMS,
        issuer,
        audience,
        requiredClaims: ['sub', 'exp'],
        clockTolerance: SKEW_S,
        currentDate: new Date(this.#clock.now()),
      }));
    } catch (error) {
      if (PlatformError.is(error)) throw error;
      throw jwtFailure(error);
    }
    const { sub: subject = '', exp = 0 } = payload;
    if (subject === '' || subject.length > SUBJECT_CHARACTERS_MAX) throw new AuthFailure('claims');
    const roles = this.#rolesOf(payload);
    if (roles.length === 0) throw new AuthFailure('role');
    return { principal: Object.freeze({ subject: `jwt:${subject}`, roles }), expiresAt: exp * 1_000 };
  }

  #rolesOf(payload: JWTPayload): Role[] {
    const { rolesClaim, roles } = this.#options;
    let value: unknown = payload;
    for (const step of rolesClaim.split('.')) {
      const isObject = typeof value === 'object' && value !== null && Object.hasOwn(value, step);
      value = isObject ? (value as Record<string, unknown>)[step] : undefined;
    }
    const names: unknown[] = typeof value === 'string' ? value.split(' ') : Array.isArray(value) ? value : [];
    const isMapped = Object.keys(roles).length > 0;
    const found = names.flatMap((name): Role[] => {
      if (typeof name !== 'string') return [];
      if (isMapped) return Object.hasOwn(roles, name) ? [roles[name] as Role] : [];
      return ROLES.filter((role) => role === name);
    });
    return [...new Set(found)];
  }
}

/** The keys at an address; while its server is away those that it said last count. */
function remoteKeys(url: URL, clock: Clock): JWTVerifyGetKey {
  const keys = createRemoteJWKSet(url, {
    timeoutDuration: KEY_SET.timeoutMs,
    cooldownDuration: KEY_SET.cooldownMs,
    cacheMaxAge: Number.POSITIVE_INFINITY,
  });
  let askedAtMs = clock.monotonic();
  return async (header, token) => {
    if (keys.jwks() !== undefined && clock.monotonic() - askedAtMs > KEY_SET.refreshMs) {
      askedAtMs = clock.monotonic();
      keys.reload().catch(() => undefined);
    }
    try {
      return await keys(header, token);
    } catch (error) {
      if (keys.jwks() !== undefined) throw error;
      throw new PlatformError(
        'UNAVAILABLE',
        "The issuer's keys could not be fetched: nobody's token can be checked",
        {
          details: { url: url.origin },
          cause: error,
        },
      );
    }
  };
}
