import { openPostgres } from '../../adapters/postgres/index.ts';
import { type KeyDescription, PlatformError, type Role, ROLES, routes } from '../../contract/index.ts';
import { makeApiKey } from '../../runtime/index.ts';
import { type ClientOptions, openClient } from '../client.ts';
import { type Output, table, when } from '../output.ts';

/** Connections of a verb that writes into the database itself. */
const CONNECTIONS = 3;

const UNITS_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

export interface KeyVerbOptions extends ClientOptions {
  readonly role: string;
  readonly expires?: string | undefined;
  readonly direct?: boolean | undefined;
}

/** `tandem keys create`: makes a key and shows it, once. */
export async function createKey(name: string, options: KeyVerbOptions, output: Output): Promise<void> {
  const role = readRole(options.role);
  const expiresInMs = options.expires === undefined ? undefined : readDuration(options.expires);
  const made = options.direct === true ? await createDirectly(name, role, expiresInMs) : await askFor();
  async function askFor(): Promise<KeyDescription & { readonly key: string }> {
    await using client = await openClient(options);
    const body = { name, role, ...(expiresInMs === undefined ? {} : { expiresInMs }) };
    return client.call(routes.createKey, { params: {}, query: {}, body });
  }
  // The key alone goes to standard output, so that it can be put into a file without being seen.
  output.result(made, () => made.key);
  const until = made.expiresAt === null ? 'until it is revoked' : `until ${when(made.expiresAt)}`;
  if (!output.json)
    output.note(`key ${made.id} of ${name} (${role}), valid ${until}. It is not shown again.`);
}

async function createDirectly(
  name: string,
  role: Role,
  expiresInMs: number | undefined,
): Promise<KeyDescription & { readonly key: string }> {
  const url = process.env['DATABASE_URL'] ?? '';
  if (url === '')
    throw new PlatformError('CONFIGURATION', '--direct: expected DATABASE_URL to name the database');
  await using postgres = await openPostgres(url, {
    applicationName: 'tandem keys',
    connectionsMax: CONNECTIONS,
  });
  await postgres.migrate([]);
  const createdAt = Date.now();
  const expiresAt = expiresInMs === undefined ? null : createdAt + expiresInMs;
  const { text, stored } = makeApiKey({ name, role, createdAt, createdBy: 'local', expiresAt });
  await postgres.keys.add(stored);
  const { hash: _, ...described } = stored;
  return { ...described, key: text };
}

/** `tandem keys list`: every key, the newest first. */
export async function listKeys(options: ClientOptions, output: Output): Promise<void> {
  await using client = await openClient(options);
  const { keys } = await client.call(routes.listKeys, { params: {}, query: {}, body: {} });
  output.result(keys, () =>
    table(
      ['KEY', 'NAME', 'ROLE', 'STATE', 'CREATED', 'BY'],
      keys.map((key) => [key.id, key.name, key.role, stateOf(key), when(key.createdAt), key.createdBy]),
    ),
  );
}

function stateOf({ revokedAt, expiresAt }: KeyDescription): string {
  if (revokedAt !== null) return `revoked ${when(revokedAt)}`;
  if (expiresAt === null) return 'valid';
  return expiresAt <= Date.now() ? `expired ${when(expiresAt)}` : `valid until ${when(expiresAt)}`;
}

/** `tandem keys revoke`: makes a key invalid. */
export async function revokeKey(id: string, options: ClientOptions, output: Output): Promise<void> {
  await using client = await openClient(options);
  const revoked = await client.call(routes.revokeKey, { params: { id }, query: {}, body: {} });
  output.result(revoked, () => `${revoked.id} of ${revoked.name}: ${stateOf(revoked)}`);
}

function readRole(text: string): Role {
  const found = ROLES.find((role) => role === text);
  if (found !== undefined) return found;
  throw new PlatformError('CONFIGURATION', `--role: expected ${ROLES.join(', ')}, got '${text}'`);
}

function readDuration(text: string): number {
  const [, count = '', unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const unitMs = UNITS_MS[unit];
  if (unitMs !== undefined && Number(count) > 0) return Number(count) * unitMs;
  throw new PlatformError(
    'CONFIGURATION',
    `--expires: expected a duration such as 90d or 12h, got '${text}'`,
  );
}
