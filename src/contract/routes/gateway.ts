import { z } from 'zod';
import { ROLES } from '../role.ts';
import { ANYBODY, route, time } from './shared.ts';

const key = z.object({
  /** The public part of the key: `tk_<id>_<secret>`. */
  id: z.string(),
  name: z.string(),
  role: z.enum(ROLES),
  createdAt: time,
  /** Who made it. */
  createdBy: z.string(),
  expiresAt: time.nullable(),
  revokedAt: time.nullable(),
});
/** An API key as it is listed; nothing that could be used as one. */
export type KeyDescription = z.infer<typeof key>;

export const listKeys = route('gateway', 'listKeys', 'GET /v1/keys', {
  summary: 'API keys, newest first, revoked ones included',
  roles: ['admin'],
  result: z.object({ keys: z.array(key) }),
});

export const createKey = route('gateway', 'createKey', 'POST /v1/keys', {
  summary: 'Make an API key; its secret is in this answer and nowhere else',
  roles: ['admin'],
  body: z
    .object({
      /** For whom or what, in words. */
      name: z.string().min(1).max(100),
      role: z.enum(ROLES),
      /** How long it is valid, in milliseconds. Default: until it is revoked. */
      expiresInMs: z
        .number()
        .int()
        .min(1_000)
        .max(10 * 366 * 86_400_000)
        .optional(),
    })
    .strict(),
  result: key.extend({ key: z.string() }),
});

export const revokeKey = route('gateway', 'revokeKey', 'POST /v1/keys/{id}/revoke', {
  summary: 'Make a key invalid, for every process within two seconds',
  roles: ['admin'],
  params: z.object({ id: z.string().max(64) }).strict(),
  result: key,
  idempotent: true,
});

export const whoAmI = route('gateway', 'whoAmI', 'GET /v1/whoami', {
  summary: 'Who the credentials say you are, and what you may do',
  roles: ANYBODY,
  result: z.object({ subject: z.string(), roles: z.array(z.string()) }),
});
