import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadApp } from './app-file.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tandem-app-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function file(name: string, content: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

describe('loadApp', () => {
  const made = "{ type: 'app', name: 'a', sources: new Map(), decisions: new Map() }";

  it('loads the default export, whatever copy of the library made it', async () => {
    expect((await loadApp(await file('good.mjs', `export default ${made};`))).app.name).toBe('a');
  });

  it.each([
    ['none.mjs', 'export const x = 1;', 'got none.'],
    ['number.mjs', 'export default 7;', 'got a number.'],
    ['model.mjs', "export default { type: 'model' };", 'got a model.'],
    ['named.mjs', `export const mine = ${made};`, "add 'export default mine;'"],
    [
      'throws.mjs',
      "throw new TypeError('Two different definitions');",
      'could not be loaded: Two different definitions',
    ],
  ])('%s is no app', async (name, content, text) => {
    const loading = loadApp(await file(name, content));
    await expect(loading).rejects.toMatchObject({ code: 'DEFINITION' });
    await expect(loading).rejects.toThrow(text);
  });

  it('says when there is no file', async () => {
    await expect(loadApp(join(folder, 'missing.ts'))).rejects.toMatchObject({ code: 'CONFIGURATION' });
  });
});
