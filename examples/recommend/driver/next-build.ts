import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const EXAMPLE = resolve(import.meta.dirname, '..');

/** A folder with the next version of the app, as it is deployed. It is gone when it is disposed of. */
export class NextBuild implements AsyncDisposable {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async make(): Promise<NextBuild> {
    const folder = join(await mkdtemp(join(tmpdir(), 'tandem-shop-')), 'shop');
    await mkdir(folder);
    // It finds the platform among the packages of what is installed.
    await writeFile(join(folder, 'package.json'), '{"name":"shop","version":"0.2.0","type":"module"}\n');
    await cp(join(EXAMPLE, 'shop.ts'), join(folder, 'shop.ts'));
    await cp(join(EXAMPLE, 'next.ts'), join(folder, 'app.ts'));
    return new NextBuild(folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(resolve(this.folder, '..'), { recursive: true, force: true });
  }
}
