import { spawn } from 'node:child_process';
import { type BuildContract, PlatformError, readBuildContract } from '../../contract/index.ts';
import { definitionHash } from '../../define/index.ts';
import { sendSignal } from '../process-identity.ts';
import { type Build, buildName } from './build.ts';
import { conditionsFor } from './installation.ts';
import { BUILD_LIMITS } from './limits.ts';

/** Characters of what a build wrote that a refusal repeats. */
const SHOWN_CHARACTERS_MAX = 600;

/** A contract with the hash that processes of the build announce. */
export interface Described {
  readonly contract: BuildContract;
  readonly hash: string;
}

/**
 * Asks a build for its contract, in a process of its own. Rejects with BUILD_INCOMPATIBLE, in its own words, when it does
 * not say it in time or in a form that is known here.
 */
export async function describeContract(build: Build): Promise<Described> {
  const { code, out, err } = await run(build);
  if (code === 0) {
    const said = parse(out);
    const contract = readBuildContract(said);
    // Of all that it says, also of what is not known here: so does its process.
    if (contract !== undefined) return { contract, hash: definitionHash(said) };
    throw refused(build, 'its contract is not of a form that this supervisor knows');
  }
  const words = err.trim().slice(-SHOWN_CHARACTERS_MAX);
  const how =
    code === null ? `no answer within ${String(BUILD_LIMITS.describeMs)} ms` : `exit code ${String(code)}`;
  throw refused(build, `'tandem contract' of it failed (${how})${words === '' ? '' : `: ${words}`}`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function refused(build: Build, reason: string): PlatformError {
  return new PlatformError(
    'BUILD_INCOMPATIBLE',
    `The build ${buildName(build)} cannot be deployed: ${reason}`,
  );
}

interface Ran {
  /** `null` when it was ended. */
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function run(build: Build): Promise<Ran> {
  const parameters = [...conditionsFor(build), build.main, 'contract', '--app', build.app, '--json'];
  // In a group of its own, so that whatever it starts ends with it.
  const child = spawn(process.execPath, parameters, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  return new Promise((resolve, reject) => {
    let size = 0;
    const kill = (): void => {
      if (child.pid !== undefined) sendSignal(-child.pid, 'SIGKILL');
    };
    const timer = setTimeout(kill, BUILD_LIMITS.describeMs);
    const [out, err]: [Buffer[], Buffer[]] = [[], []];
    const collect = (into: Buffer[]) => (chunk: Buffer) => {
      size += chunk.length;
      if (size <= BUILD_LIMITS.describeBytesMax) into.push(chunk);
      else kill();
    };
    child.stdout.on('data', collect(out));
    child.stderr.on('data', collect(err));
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ code, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() });
    });
  });
}
