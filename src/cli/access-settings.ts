import { readFile } from 'node:fs/promises';
import type { JSONWebKeySet } from 'jose';
import { z } from 'zod';
import { PlatformError, type Role, ROLES } from '../contract/index.ts';
import {
  type AccessOptions,
  type Config,
  type ConfigSection,
  isLoopback,
  type JwtOptions,
  type TlsIdentity,
  type TlsPeers,
} from '../runtime/index.ts';

/** Who may use a process's port, and what verbs show to servers. */
interface AuthOptions {
  /** Ask everybody for credentials. Default: all but `tandem dev` on the loopback do, and cannot be told otherwise. */
  readonly required: boolean;
  /** Wrong credentials that may come from one address within `failureWindowMs`. Default 10. */
  readonly failuresMax: number;
  /** In milliseconds. Default 60,000. */
  readonly failureWindowMs: number;
  /** Issuer of the tokens (JWT) that count besides API keys. Default: none. */
  readonly jwtIssuer?: string | undefined;
  /** Whom tokens must be for. */
  readonly jwtAudience?: string | undefined;
  /** Where the issuer's public keys are. */
  readonly jwtKeysUrl?: string | undefined;
  /** Or the file that they are in: a JSON Web Key Set. */
  readonly jwtKeysFile?: string | undefined;
  /** Path of the claim with roles or groups, e.g. `realm_access.roles`. Default `roles`. */
  readonly jwtRolesClaim: string;
  /** Role by value of that claim, as JSON. Default: the values are roles. */
  readonly jwtRoles: Readonly<Record<string, Role>>;
  /** The API key that verbs show. */
  readonly key?: string | undefined;
  /** Or the file that it is in. Default: `admin.key` in the data directory, where there is one. */
  readonly keyFile?: string | undefined;
}

const positive = (value: number, text: string): z.ZodDefault<z.ZodNumber> =>
  z.number().int().min(1).max(86_400_000).default(value).describe(text);

const authOptions: z.ZodType<AuthOptions> = z
  .object({
    required: z.boolean().default(false).describe("Ask for credentials in 'tandem dev' too"),
    failuresMax: positive(10, 'Wrong credentials that may come from one address within the window'),
    failureWindowMs: positive(60_000, 'The window in which they are counted, in milliseconds'),
    jwtIssuer: z.string().min(1).optional().describe('Issuer of the tokens that count besides API keys'),
    jwtAudience: z.string().min(1).optional().describe('Whom tokens must be for'),
    jwtKeysUrl: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe("Where the issuer's public keys are (JWKS)"),
    jwtKeysFile: z.string().min(1).optional().describe('Or the file that they are in'),
    jwtRolesClaim: z.string().min(1).default('roles').describe('Path of the claim with roles or groups'),
    jwtRoles: z
      .record(z.string(), z.enum(ROLES))
      .default({})
      .describe('Role by value of that claim, as JSON; without, the values are roles'),
    key: z.string().optional().describe('API key that verbs show'),
    keyFile: z.string().min(1).optional().describe('File of the API key that verbs show'),
  })
  .strict();

export const AUTH: ConfigSection<AuthOptions> = {
  name: 'auth',
  prefix: 'TANDEM_AUTH_',
  schema: authOptions,
  variables: { key: 'TANDEM_KEY', keyFile: 'TANDEM_KEY_FILE' },
  secrets: ['key'],
};

/** Files of TLS, in PEM. */
interface TlsOptions {
  /** Certificate of every port of this process, with those between it and the authority. Default: plain HTTP. */
  readonly certFile?: string | undefined;
  /** Its private key. */
  readonly keyFile?: string | undefined;
  /** Authorities whose certificates servers may show to this process. Default: those that Node.js knows. */
  readonly caFile?: string | undefined;
  /**
   * Name that the certificates of servers have which this process calls, whatever their addresses: so one certificate serves
   * all processes. Default: the host of the address.
   */
  readonly serverName?: string | undefined;
}

const tlsOptions: z.ZodType<TlsOptions> = z
  .object({
    certFile: z.string().min(1).optional().describe('Certificate of every port of this process (PEM)'),
    keyFile: z.string().min(1).optional().describe('Its private key (PEM)'),
    caFile: z.string().min(1).optional().describe('Authorities whose certificates servers may show (PEM)'),
    serverName: z
      .string()
      .regex(/^[a-z0-9.-]+$/i)
      .optional()
      .describe('Name that their certificates have; the host of the address by default'),
  })
  .strict();

export const TLS: ConfigSection<TlsOptions> = { name: 'tls', prefix: 'TANDEM_TLS_', schema: tlsOptions };

/** What a process asks of those who use its port. `isAlways`: whatever the configuration says. Rejects with CONFIGURATION. */
export async function accessOf(config: Config, isAlways: boolean): Promise<AccessOptions> {
  const { required, failuresMax, failureWindowMs } = config.section(AUTH);
  return {
    isRequired: isAlways || required,
    throttle: { failuresMax, windowMs: failureWindowMs },
    jwt: await jwtOf(config),
  };
}

async function jwtOf(config: Config): Promise<JwtOptions | undefined> {
  const { jwtIssuer, jwtAudience, jwtKeysUrl, jwtKeysFile, jwtRolesClaim, jwtRoles } = config.section(AUTH);
  const given = [jwtIssuer, jwtAudience, jwtKeysUrl ?? jwtKeysFile];
  if (given.every((value) => value === undefined)) return undefined;
  if (
    jwtIssuer === undefined ||
    jwtAudience === undefined ||
    (jwtKeysUrl === undefined) === (jwtKeysFile === undefined)
  ) {
    throw new PlatformError(
      'CONFIGURATION',
      'Tokens need TANDEM_AUTH_JWT_ISSUER, TANDEM_AUTH_JWT_AUDIENCE and one of TANDEM_AUTH_JWT_KEYS_URL and TANDEM_AUTH_JWT_KEYS_FILE',
    );
  }
  const keys = jwtKeysUrl === undefined ? await readKeySet(jwtKeysFile ?? '') : keysUrl(jwtKeysUrl);
  return { issuer: jwtIssuer, audience: jwtAudience, keys, rolesClaim: jwtRolesClaim, roles: jwtRoles };
}

/** Whoever can change the keys on their way can be anybody here. */
function keysUrl(text: string): URL {
  const url = new URL(text);
  if (url.protocol === 'https:' || isLoopback(url.hostname)) return url;
  throw new PlatformError('CONFIGURATION', `TANDEM_AUTH_JWT_KEYS_URL: expected https, got '${url.origin}'`);
}

async function readKeySet(file: string): Promise<JSONWebKeySet> {
  const text = await readPem(file, 'TANDEM_AUTH_JWT_KEYS_FILE');
  try {
    const found = JSON.parse(text) as Partial<JSONWebKeySet>;
    const isPublic = ({ d, k }: { readonly d?: unknown; readonly k?: unknown }): boolean =>
      d === undefined && k === undefined;
    if (Array.isArray(found.keys) && found.keys.length > 0 && found.keys.every(isPublic))
      return { keys: found.keys };
  } catch {
    // Said below: the parser would quote the file.
  }
  throw new PlatformError('CONFIGURATION', `${file}: expected a JSON Web Key Set of public keys`);
}

/** Certificate and key of the ports of this process; `undefined` when it speaks plain HTTP. Rejects with CONFIGURATION. */
export async function tlsIdentity(config: Config): Promise<TlsIdentity | undefined> {
  const { certFile, keyFile } = config.section(TLS);
  if (certFile === undefined && keyFile === undefined) return undefined;
  if (certFile === undefined || keyFile === undefined) {
    throw new PlatformError('CONFIGURATION', 'TLS needs both TANDEM_TLS_CERT_FILE and TANDEM_TLS_KEY_FILE');
  }
  return {
    certificate: await readPem(certFile, 'TANDEM_TLS_CERT_FILE'),
    key: await readPem(keyFile, 'TANDEM_TLS_KEY_FILE'),
  };
}

/** What servers must show that this process calls over TLS. Rejects with CONFIGURATION. */
export async function tlsPeers({
  caFile,
  serverName,
}: Pick<TlsOptions, 'caFile' | 'serverName'>): Promise<TlsPeers> {
  return {
    ...(caFile === undefined ? {} : { ca: await readPem(caFile, 'TANDEM_TLS_CA_FILE') }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  };
}

async function readPem(file: string, variable: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const { code = 'unknown reason' } = error as NodeJS.ErrnoException;
    throw new PlatformError('CONFIGURATION', `${variable}: ${file} cannot be read (${code})`, {
      cause: error,
    });
  }
}
