// Compiles src to dist, from nothing, so that no file of an earlier build is published.
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
rmSync(join(root, 'dist'), { recursive: true, force: true });
const tsc = join(root, 'node_modules/typescript/bin/tsc');
const { status } = spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json')], {
  stdio: 'inherit',
});
if (status !== 0) process.exit(status ?? 1);
const files = readdirSync(join(root, 'dist'), { recursive: true }).filter((name) =>
  String(name).endsWith('.js'),
);
process.stdout.write(`compiled ${files.length} files to dist\n`);
process.exit(files.length === 0 ? 1 : 0);
