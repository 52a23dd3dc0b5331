import type { Role } from '../../contract/index.ts';

/** An API key as it is kept: what was handed out cannot be made of it. */
export interface StoredKey {
  /** The public part of the key. */
  readonly id: string;
  /** For whom or what, in words. */
  readonly name: string;
  readonly role: Role;
  /** SHA-256 of the secret part, hexadecimal. */
  readonly hash: string;
  /** Milliseconds UTC, as all instants here. */
  readonly createdAt: number;
  /** Subject of who made it. */
  readonly createdBy: string;
  readonly expiresAt: number | null;
  readonly revokedAt: number | null;
}

/** The channel on which a change of the keys is signalled. */
export const KEYS_SIGNAL = 'keys';

/** Keys that may be valid at a time: each process keeps all of them at hand. */
export const KEYS_MAX = 1_000;

/** The API keys of a deployment. */
export interface Keys {
  /** Rejects with UNPROCESSABLE when {@link KEYS_MAX} keys are valid, CONFLICT when the id is taken. */
  add(key: StoredKey): Promise<void>;
  /** Makes a key invalid from `at` on; again, it changes nothing. `undefined` when there is none of this id. */
  revoke(id: string, at: number): Promise<StoredKey | undefined>;
  /** Every key, the newest first; those that were revoked or ran out long ago may be forgotten. */
  all(): Promise<readonly StoredKey[]>;
  /** Another number whenever the keys are others. */
  revision(): Promise<number>;
}
