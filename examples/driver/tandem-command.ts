import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '..', '..');

/** Runs a verb of the command line and resolves with what it printed. Rejects with what it said when it failed. */
export function runTandem(parameters: readonly string[]): Promise<string> {
  const main = join(ROOT, 'src', 'cli', 'main.ts');
  const child = spawn(process.execPath, ['--conditions=tandem-source', main, ...parameters], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  return new Promise((done, failed) => {
    child.once('error', failed);
    child.once('close', (code, signal) => {
      if (code === 0) done(Buffer.concat(out).toString());
      else {
        const said = Buffer.concat(err).toString().trim();
        failed(new Error(`tandem ${parameters.join(' ')} ended with ${signal ?? String(code)}: ${said}`));
      }
    });
  });
}
