import { type InputOf, type KeyDescription, PlatformError, type routes } from '../../contract/index.ts';
import { makeApiKey, type ServiceHost, type StoredKey } from '../../runtime/index.ts';

/** Every key, the newest first. */
export async function listKeys({ keys }: ServiceHost): Promise<{ keys: KeyDescription[] }> {
  return { keys: (await keys.all()).map(describeKey) };
}

/** Makes a key; what can be used as one is in this answer alone. Rejects with UNPROCESSABLE when there are too many. */
export async function createKey(
  host: ServiceHost,
  { name, role, expiresInMs }: InputOf<typeof routes.createKey>['body'],
  createdBy: string,
): Promise<KeyDescription & { readonly key: string }> {
  const createdAt = host.clock.now();
  const expiresAt = expiresInMs === undefined ? null : createdAt + expiresInMs;
  const { text, stored } = makeApiKey({ name, role, createdAt, createdBy, expiresAt });
  await host.keys.add(stored);
  host.logger.info('A key was made', { key: stored.id, role, by: createdBy });
  return { ...describeKey(stored), key: text };
}

/** Makes a key invalid. Rejects with KEY_NOT_FOUND. */
export async function revokeKey(host: ServiceHost, id: string, by: string): Promise<KeyDescription> {
  const revoked = await host.keys.revoke(id, host.clock.now());
  if (revoked === undefined) {
    throw new PlatformError('KEY_NOT_FOUND', `There is no key '${id}'`, { details: { key: id } });
  }
  host.logger.info('A key was revoked', { key: id, by });
  return describeKey(revoked);
}

function describeKey({
  id,
  name,
  role,
  createdAt,
  createdBy,
  expiresAt,
  revokedAt,
}: StoredKey): KeyDescription {
  return { id, name, role, createdAt, createdBy, expiresAt, revokedAt };
}
