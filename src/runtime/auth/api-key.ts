import { createHash, randomBytes } from 'node:crypto';
import type { Role } from '../../contract/index.ts';
import type { StoredKey } from '../ports/index.ts';

/** Random bytes of the public part and of the secret. */
const ID_BYTES = 8;
const SECRET_BYTES = 32;

/** What an API key begins with, so that scanners of leaked secrets know it. */
export const KEY_PREFIX = 'tk_';

const FORM = /^tk_([0-9a-f]{16})_([A-Za-z0-9_-]{43})$/;

/** The two parts of an API key. */
export interface ApiKeyParts {
  readonly id: string;
  readonly secret: string;
}

/** Reads `tk_<id>_<secret>`; `undefined` when it is of another form. */
export function readApiKey(text: string): ApiKeyParts | undefined {
  const [, id, secret] = FORM.exec(text) ?? [];
  return id === undefined || secret === undefined ? undefined : { id, secret };
}

/**
 * What is kept of a secret. A slow hash guards passwords, which people choose and others can guess; this secret is 256
 * random bits, which nobody can try out whatever one try costs, so that one SHA-256 gives nothing away.
 */
export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

export interface NewKeyOptions {
  readonly name: string;
  readonly role: Role;
  readonly createdAt: number;
  readonly createdBy: string;
  readonly expiresAt: number | null;
}

/** Makes an API key: the text that is shown once, and what is kept of it. */
export function makeApiKey(options: NewKeyOptions): { readonly text: string; readonly stored: StoredKey } {
  const id = randomBytes(ID_BYTES).toString('hex');
  const secret = randomBytes(SECRET_BYTES).toString('base64url');
  const { name, role, createdAt, createdBy, expiresAt } = options;
  const stored = {
    id,
    name,
    role,
    hash: hashSecret(secret),
    createdAt,
    createdBy,
    expiresAt,
    revokedAt: null,
  };
  return { text: `${KEY_PREFIX}${id}_${secret}`, stored };
}
