import { SignJWT } from 'jose/jwt/sign';
import { exportJWK } from 'jose/key/export';
import { generateKeyPair } from 'jose/key/generate/keypair';
import type { ServiceName } from '../../contract/index.ts';
import type { Clock } from '../ports/index.ts';

/** Who signs the tokens of services. */
export const SERVICE_ISSUER = 'tandem';
export const SERVICE_ALGORITHM = 'EdDSA';

/** Times of the tokens that services show to each other, in seconds. */
export const SERVICE_TOKEN = {
  /** How long one is valid. */
  validS: 120,
  /** What is left of it when the next one is made. */
  renewS: 60,
  /** By how much the clocks of two machines may differ. */
  skewS: 30,
} as const;

/** The name of a service's process, in the form of SPIFFE. */
export function serviceSubject(service: ServiceName, instance: string): string {
  return `spiffe://tandem/${service}/${instance}`;
}

interface Token {
  readonly header: string;
  readonly expiresAt: number;
}

/**
 * What this process shows to others that it calls: a token, signed with a key that it made at its start and whose public half
 * it announces with its address. One token serves all calls to a service until half of its time is over.
 */
export class ServiceIdentity {
  readonly publicKey: string;
  readonly #sign: (audience: ServiceName) => Promise<Token>;
  readonly #clock: Clock;
  readonly #tokens = new Map<ServiceName, Token>();
  readonly #renewing = new Map<ServiceName, Promise<Token>>();

  private constructor(publicKey: string, clock: Clock, sign: (audience: ServiceName) => Promise<Token>) {
    this.publicKey = publicKey;
    this.#clock = clock;
    this.#sign = sign;
  }

  static async create(service: ServiceName, instance: string, clock: Clock): Promise<ServiceIdentity> {
    const { privateKey, publicKey } = await generateKeyPair(SERVICE_ALGORITHM, { crv: 'Ed25519' });
    const { x = '' } = await exportJWK(publicKey);
    const subject = serviceSubject(service, instance);
    return new ServiceIdentity(x, clock, async (audience) => {
      const now = Math.floor(clock.now() / 1_000);
      const text = await new SignJWT({})
        .setProtectedHeader({ alg: SERVICE_ALGORITHM, kid: instance })
        .setIssuer(SERVICE_ISSUER)
        .setSubject(subject)
        .setAudience(audience)
        .setIssuedAt(now)
        .setExpirationTime(now + SERVICE_TOKEN.validS)
        .sign(privateKey);
      return { header: `Bearer ${text}`, expiresAt: now + SERVICE_TOKEN.validS };
    });
  }

  /** The `authorization` header for calls to a service: at once but for the first call of a while. */
  authorize(audience: ServiceName): string | Promise<string> {
    const token = this.#tokens.get(audience);
    const leftS = token === undefined ? 0 : token.expiresAt - this.#clock.now() / 1_000;
    if (token !== undefined && leftS > SERVICE_TOKEN.renewS) return token.header;
    const renewing = this.#renew(audience);
    if (token === undefined || leftS <= 0) return renewing.then(({ header }) => header);
    return token.header;
  }

  #renew(audience: ServiceName): Promise<Token> {
    let renewing = this.#renewing.get(audience);
    if (renewing === undefined) {
      renewing = this.#sign(audience).then((token) => {
        this.#tokens.set(audience, token);
        this.#renewing.delete(audience);
        return token;
      });
      this.#renewing.set(audience, renewing);
    }
    return renewing;
  }
}
