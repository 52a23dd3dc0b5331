#!/usr/bin/env node
import { reexecute } from './reexecute.ts';

/** Oldest Node.js that the rest of this package runs on; this file runs on older ones, to say so. */
const NODE_MAJOR_MIN = 24;

const parameters = process.argv.slice(2);
// Whoever reads our output may stop reading (`tandem models | head`): no reason to complain.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
if (Number(process.versions.node.split('.', 1)[0]) < NODE_MAJOR_MIN) {
  process.exitCode = await reexecute(NODE_MAJOR_MIN, process.argv.slice(1));
} else {
  const { useCompileCache } = await import('./compile-cache.ts');
  useCompileCache(parameters, process.env);
  const { main } = await import('./program.ts');
  const code = await main(parameters);
  process.stdout.write('', () => process.exit(code));
}
