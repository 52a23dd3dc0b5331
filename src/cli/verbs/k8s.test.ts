import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ROOT } from '../../../test/tidy/tree.ts';
import { main } from '../program.ts';

let folder: string;
let out: string;
let stdout = '';
let stderr = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tandem-k8s-'));
  out = join(folder, 'deep', 'k8s');
  [stdout, stderr] = ['', ''];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => ((stdout += String(text)), true));
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => ((stderr += String(text)), true));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true, force: true });
});

const app = join(ROOT, 'examples/fraud/app.ts');
const render = (...more: string[]): Promise<number> =>
  main(['k8s', 'render', '--app', app, '--image', 'fraud:1.0.0', '--out', out, ...more]);
const list = async (): Promise<string[]> => (await readdir(out)).sort();

describe('tandem k8s render', () => {
  it('writes a folder, and says what is in it', async () => {
    expect(await render('--json')).toBe(0);
    const { files, namespace, warnings } = JSON.parse(stdout) as {
      files: { file: string; objects: { kind: string; name: string }[] }[];
      namespace: string;
      warnings: string[];
    };
    expect(files.map(({ file }) => file).sort()).toEqual(await list());
    expect(files.find(({ file }) => file === 'serve.yaml')?.objects).toContainEqual({
      kind: 'Deployment',
      name: 'fraud-serve',
    });
    expect(namespace).toBe('fraud');
    expect(warnings).toHaveLength(1);
    expect(await readFile(join(out, 'serve.yaml'), 'utf8')).toContain('image: fraud:1.0.0');
  });

  it('writes over what it wrote, and takes away what it no longer writes', async () => {
    expect(await render('--overlay', 'keda')).toBe(0);
    const before = await readFile(join(out, 'serve.yaml'), 'utf8');
    expect(await list()).toContain('keda.yaml');
    expect(await render('--json')).toBe(0);
    expect(await list()).not.toContain('keda.yaml');
    expect(stdout).toContain('"removed":["keda.yaml"]');
    expect(await readFile(join(out, 'serve.yaml'), 'utf8')).not.toBe(before);
  });

  it('leaves the files of others alone, and touches nothing then', async () => {
    await mkdir(out, { recursive: true });
    await writeFile(join(out, 'serve.yaml'), 'kind: Mine\n');
    await writeFile(join(out, 'notes.txt'), 'mine\n');
    expect(await render()).toBe(1);
    expect(stderr).toContain("2 files that were not written by 'tandem k8s render', such as notes.txt");
    expect(await list()).toEqual(['notes.txt', 'serve.yaml']);
    expect(await readFile(join(out, 'serve.yaml'), 'utf8')).toBe('kind: Mine\n');
    expect(await render('--force')).toBe(0);
    expect(await readFile(join(out, 'notes.txt'), 'utf8')).toBe('mine\n');
    expect(await readFile(join(out, 'serve.yaml'), 'utf8')).toContain('kind: Deployment');
    expect((await list()).filter((name) => name.includes('draft'))).toEqual([]);
  });

  it.each([
    [['--image', 'Fraud'], '--image: expected'],
    [['--overlay', 'helm'], '--overlay: expected'],
    [['--app', '/nowhere/app.ts'], 'there is no file'],
  ])('writes nothing when it is asked for what cannot be: %o', async (more, text) => {
    expect(await render(...more)).toBe(2);
    expect(stderr).toContain(text);
    await expect(readdir(out)).rejects.toThrow('ENOENT');
  });

  it('wants a folder', async () => {
    out = join(folder, 'file');
    await writeFile(out, '');
    expect(await render()).toBe(2);
    expect(stderr).toContain('expected a folder');
  });

  it('wants an image and a folder to be named', async () => {
    expect(await main(['k8s', 'render', '--app', app])).toBe(2);
    expect(stderr).toContain("required option '--image <image>' not specified");
    expect(await main(['k8s', 'rendr'])).toBe(2);
    expect(stderr).toContain('Did you mean render?');
  });
});
