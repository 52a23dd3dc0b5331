import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
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
  const made = "{ type: 'app', name: 'a', sources: new Map(), models: new Map(), decisions: new Map() }";

  it('loads the default export, whatever copy of the library made it', async () => {
    expect((await loadApp(await file('good.mjs', `export default ${made};`))).app.name).toBe('a');
  });

  it('takes the files of commands that train into the hash of their models', async () => {
    const library = fileURLToPath(new URL('../define/index.ts', import.meta.url));
    const text = `
      import * as t from ${JSON.stringify(library)};
      const fields = { id: t.id(), at: t.timestamp(), who: t.key(), amount: t.number() };
      const events = t.source('events', { id: 'id', time: 'at', key: 'who', fields });
      const reports = t.source('reports', { id: 'id', time: 'at', key: 'who', fields });
      const bad = t.label('bad', { of: events, from: reports, on: 'who', maturesAfter: '1d' });
      const card = t.vector('card', { candidate: events, amount: (c) => c.amount });
      const trainer = t.external({ command: ['python3', 'train.py'] });
      const model = t.defineModel('m', { vector: card, label: bad, trainer });
      const score = t.decision('score', { model, subject: 'who' });
      export default t.defineApp('shop', { decisions: { score } });`;
    await file('train.py', 'print(1)');
    const { app } = await loadApp(await file('first.mjs', text));
    const model = app.models.get('m');
    expect(model?.trainer).toMatchObject({
      digests: { 'train.py': expect.stringMatching(/^sha256:/) as string },
    });
    expect(app.decisions.get('score')?.model).toBe(model);
    await file('train.py', 'print(2)');
    const { app: changed } = await loadApp(await file('second.mjs', text));
    expect(changed.models.get('m')?.hash).not.toBe(model?.hash);
    expect(changed.decisions.get('score')?.hash).not.toBe(app.decisions.get('score')?.hash);
    expect(changed.hash).not.toBe(app.hash);
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
