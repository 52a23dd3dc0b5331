import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { command, commandAtExit, type Need } from '../../cluster/command.ts';

/** What mounting file systems takes. */
export const MOUNT_NEEDS: readonly Need[] = [
  { program: 'mount', package: 'mount' },
  { program: 'umount', package: 'mount' },
  { program: 'mkfs.ext4', package: 'e2fsprogs' },
];

/** A folder for mounts of a run's own; it and all of them go away at the end of the scope or of the process. */
export class Mounts implements AsyncDisposable {
  readonly folder: string;
  readonly #mounted: string[] = [];
  readonly #atExit = (): void => {
    for (const place of this.#mounted.reverse()) commandAtExit('umount', '-l', place);
    commandAtExit('rm', '-rf', this.folder);
  };

  private constructor(folder: string) {
    this.folder = folder;
    process.on('exit', this.#atExit);
  }

  static async make(): Promise<Mounts> {
    const folder = await mkdtemp(join(tmpdir(), 'tandem-mounts-'));
    await chmod(folder, 0o755);
    return new Mounts(folder);
  }

  /** A file system in memory that holds so many bytes. */
  memory(name: string, bytes: number): Promise<string> {
    return this.#mount(name, ['-t', 'tmpfs', '-o', `size=${String(bytes)},mode=755`, 'tmpfs']);
  }

  /** A new ext4 file system in a file; resolves with the file. It is not mounted yet. */
  async image(name: string, bytes: number): Promise<string> {
    const path = join(this.folder, `${name}.img`);
    await command('truncate', '-s', String(bytes), path);
    await command('mkfs.ext4', '-q', '-E', 'lazy_itable_init=0,lazy_journal_init=0', path);
    return path;
  }

  /** Mounts an image; whatever its journal holds is played back, as after a power cut. */
  loop(name: string, image: string): Promise<string> {
    return this.#mount(name, ['-t', 'ext4', '-o', 'loop', image]);
  }

  async unmount(place: string): Promise<void> {
    // Somebody who has just ended may still be on the way out.
    for (let attempt = 1; ; attempt += 1) {
      try {
        await command('umount', place);
        break;
      } catch (error) {
        if (attempt === 50) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    this.#mounted.splice(this.#mounted.indexOf(place), 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off('exit', this.#atExit);
    for (const place of [...this.#mounted].reverse()) await this.unmount(place);
    await rm(this.folder, { recursive: true, force: true });
  }

  async #mount(name: string, parameters: readonly string[]): Promise<string> {
    const place = join(this.folder, name);
    await mkdir(place, { recursive: true });
    await command('mount', ...parameters, place);
    await chmod(place, 0o755);
    this.#mounted.push(place);
    return place;
  }
}
