import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openPostgres } from '../adapters/postgres/index.ts';
import { PlatformError } from '../contract/index.ts';
import { hashSecret, type Keys, makeApiKey, readApiKey } from '../runtime/index.ts';

/** Connections that looking after the key takes. */
const CONNECTIONS = 3;
/** A key of fewer characters than this is refused whoever made it. */
const KEY_CHARACTERS_MIN = 16;

/** Where the key of the one who runs the server lies. */
export function adminKeyFile(dataDir: string): string {
  return join(dataDir, 'admin.key');
}

/**
 * Sees to it that the data directory holds a valid key of an admin: verbs find it there, nobody else can read it. It is made
 * at the first start and again when it was revoked, and never shown.
 */
export async function ensureAdminKey(databaseUrl: string, dataDir: string): Promise<void> {
  await using postgres = await openPostgres(databaseUrl, {
    applicationName: 'tandem keys',
    connectionsMax: CONNECTIONS,
  });
  await postgres.migrate([]);
  const file = adminKeyFile(dataDir);
  const text = await readFile(file, 'utf8').catch(() => '');
  if (await isValid(text.trim(), postgres.keys)) return;
  const { text: key, stored } = makeApiKey({
    name: 'whoever runs the server',
    role: 'admin',
    createdAt: Date.now(),
    createdBy: 'local',
    expiresAt: null,
  });
  await postgres.keys.add(stored);
  const draft = `${file}.${String(process.pid)}`;
  await rm(draft, { force: true });
  await writeFile(draft, `${key}\n`, { mode: 0o600, flag: 'wx' });
  await rename(draft, file);
}

async function isValid(text: string, keys: Keys): Promise<boolean> {
  const parts = readApiKey(text);
  if (parts === undefined) return false;
  const found = (await keys.all()).find(({ id }) => id === parts.id);
  if (found === undefined || found.hash !== hashSecret(parts.secret)) return false;
  const isOver = found.expiresAt !== null && found.expiresAt <= Date.now();
  return found.role === 'admin' && found.revokedAt === null && !isOver;
}

export interface KeySources {
  /** A file that was named: it must be there. */
  readonly keyFile?: string | undefined;
  /** A folder in which a key may lie. */
  readonly dataDir?: string | undefined;
}

/**
 * The key that verbs show: of `--key-file`, TANDEM_KEY, TANDEM_KEY_FILE, or of the data directory; `undefined` when there is
 * none. Rejects with CONFIGURATION when it is none that a server could have given.
 */
export async function findKey(
  sources: KeySources,
  environment: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  const { keyFile, dataDir } = sources;
  const given = environment['TANDEM_KEY'] || undefined;
  if (keyFile === undefined && given !== undefined) return checked(given, 'TANDEM_KEY');
  const named = keyFile ?? (environment['TANDEM_KEY_FILE'] || undefined);
  if (named !== undefined) {
    try {
      return checked(await readFile(named, 'utf8'), named);
    } catch (error) {
      if (PlatformError.is(error)) throw error;
      throw new PlatformError('CONFIGURATION', `There is no file ${named} that can be read`, {
        cause: error,
      });
    }
  }
  if (dataDir === undefined) return undefined;
  const found = await readFile(adminKeyFile(dataDir), 'utf8').catch(() => undefined);
  return found === undefined ? undefined : checked(found, adminKeyFile(dataDir));
}

function checked(text: string, source: string): string {
  const key = text.trim();
  if (key.length >= KEY_CHARACTERS_MIN && /^[\w.~+/=-]+$/.test(key)) return key;
  const got =
    key.length < KEY_CHARACTERS_MIN ? `${String(key.length)} characters` : 'characters that no key has';
  throw new PlatformError(
    'CONFIGURATION',
    `${source}: expected an API key or a token of at least ${String(KEY_CHARACTERS_MIN)} characters, got ${got}`,
  );
}
