import { readFile } from 'node:fs/promises';
import { adminKeyFile } from '../../src/cli/admin-key.ts';

/** Headers that show the admin's key of a data directory. */
export async function adminHeaders(dataDir: string): Promise<{ readonly authorization: string }> {
  return bearer((await readFile(adminKeyFile(dataDir), 'utf8')).trim());
}

/** Headers that show a key or a token. */
export function bearer(credentials: string): { readonly authorization: string } {
  return { authorization: `Bearer ${credentials}` };
}
