import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { claimDataDirectory, findDev } from './data-directory.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tandem-claim-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('claimDataDirectory', () => {
  it('makes the folder, tells others where the server is, and leaves nothing behind', async () => {
    const path = join(folder, 'deep', 'data');
    {
      await using claim = await claimDataDirectory(path);
      expect(await findDev(path)).toMatchObject({ pid: process.pid, url: null });
      await claim.publish('http://127.0.0.1:7717', 'fraud');
      expect(await findDev(path)).toMatchObject({ url: 'http://127.0.0.1:7717', app: 'fraud' });
    }
    expect(await findDev(path)).toBeUndefined();
    expect(await readdir(path)).toEqual([]);
  });

  it('refuses a second process and names the first', async () => {
    await using claim = await claimDataDirectory(folder);
    await claim.publish('http://127.0.0.1:7717', 'fraud');
    const refused = claimDataDirectory(folder);
    await expect(refused).rejects.toMatchObject({
      code: 'CONFLICT',
      details: { pid: process.pid, url: 'http://127.0.0.1:7717' },
    });
    expect(await findDev(folder)).toMatchObject({ app: 'fraud' });
  });

  it.each([
    ['a process that is gone', { pid: 2_147_483_646, started: 'x', url: 'http://127.0.0.1:1', app: 'a' }],
    [
      'another process with its id',
      { pid: process.pid, started: 'before the last boot', url: null, app: null },
    ],
    ['nothing that can be read', '{"pid":'],
  ])('takes over from %s', async (_, record) => {
    const file = join(folder, 'dev.json');
    await writeFile(file, typeof record === 'string' ? record : JSON.stringify(record));
    await using claim = await claimDataDirectory(folder);
    await claim.publish('http://127.0.0.1:2', 'b');
    expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({
      pid: process.pid,
      url: 'http://127.0.0.1:2',
    });
    expect(await readdir(folder)).toEqual(['dev.json']);
  });
});
