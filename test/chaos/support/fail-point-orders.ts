import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** How often it is looked whether a point has acted, in milliseconds. */
const LOOK_MS = 10;

/** A folder through which processes are told to arm fail-points, and tell which have acted. */
export class FailPointOrders implements AsyncDisposable {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async open(): Promise<FailPointOrders> {
    return new FailPointOrders(await mkdtemp(join(tmpdir(), 'tandem-fail-points-')));
  }

  /** What processes need in their environment to take orders from here. */
  get environment(): Readonly<Record<string, string>> {
    return { TANDEM_FAIL_POINTS: `folder:${this.folder}` };
  }

  /** Arms points in one process: a kind, of which any one takes the order, or a process id. */
  async arm(who: string, points: string): Promise<void> {
    const draft = join(this.folder, `${who}.draft`);
    await writeFile(draft, points);
    await rename(draft, join(this.folder, `${who}.arm`));
  }

  /** Waits until somebody has taken the order. */
  async taken(who: string): Promise<void> {
    while ((await readdir(this.folder)).includes(`${who}.arm`)) await sleep(LOOK_MS);
  }

  /** Takes the order to `who` back, and every order that a process has already. */
  async disarm(who: string): Promise<void> {
    await rm(join(this.folder, `${who}.arm`), { force: true });
    for (const name of await readdir(this.folder)) {
      if (!name.endsWith('.armed')) continue;
      await rm(join(this.folder, name), { force: true });
      await this.arm(name.slice(0, -'.armed'.length), '');
    }
  }

  /** Waits until a point has acted: its name and process; `undefined` when none has within the time. */
  async fired(withinMs: number): Promise<{ readonly point: string; readonly pid: number } | undefined> {
    for (const end = performance.now() + withinMs; performance.now() < end; await sleep(LOOK_MS)) {
      const name = (await readdir(this.folder)).find((found) => found.endsWith('.fired'));
      if (name === undefined) continue;
      const path = join(this.folder, name);
      const point = await readFile(path, 'utf8');
      // The name appears before the text does.
      if (point === '') continue;
      await rm(path);
      await rm(path.replace(/\.fired$/, '.armed'), { force: true });
      return { point, pid: Number(name.slice(0, -'.fired'.length)) };
    }
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}
