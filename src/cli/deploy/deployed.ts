import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { PlatformError, type ServiceName } from '../../contract/index.ts';
import { SERVICE_NAMES } from '../../contract/route.ts';
import { assertThere, type Build, buildSchema } from './build.ts';
import { type Deployment, deploymentSchema, isMoving } from './deployment.ts';
import { buildsFolder } from './build-store.ts';
import { installedBuild } from './installation.ts';

const serviceSchema = z.object({
  /** What its processes are to run. */
  build: buildSchema,
  /** What they ran before. */
  previous: buildSchema.nullable(),
  deployment: deploymentSchema.nullable(),
});
type ServiceBuilds = Readonly<z.infer<typeof serviceSchema>>;

const fileSchema = z.partialRecord(z.enum(SERVICE_NAMES), serviceSchema);

const FILE = 'deployed.json';

/** Rejects with CONFIGURATION when the file is there and cannot be read: another build than the deployed one must not run. */
async function readDeployed(file: string): Promise<z.infer<typeof fileSchema>> {
  try {
    return fileSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new PlatformError(
      'CONFIGURATION',
      `${file} does not say what is deployed. Put it right, or start with 'tandem up --installed', which forgets it.`,
      { cause: error },
    );
  }
}

/** Which build each service runs, on disk, so that a new supervisor goes on where one ended. */
export class Deployed {
  readonly #file: string;
  readonly #installed: Build;
  readonly #services: Map<ServiceName, ServiceBuilds>;
  #writing: Promise<void> = Promise.resolve();

  private constructor(file: string, installed: Build, services: Map<ServiceName, ServiceBuilds>) {
    this.#file = file;
    this.#installed = installed;
    this.#services = services;
  }

  /**
   * Reads what was deployed; nothing counts any more when `forget` is set. Rejects with CONFIGURATION when a build is
   * not there.
   */
  static async load(dataDir: string, app: string, forget: boolean): Promise<Deployed> {
    const file = join(buildsFolder(dataDir), FILE);
    if (forget) await rm(file, { force: true });
    const installed = installedBuild(app);
    const found = await readDeployed(file);
    const services = new Map<ServiceName, ServiceBuilds>();
    for (const [name, { build, previous, deployment }] of Object.entries(found)) {
      // What is installed may be a newer version by now.
      const now = (given: Build): Build => (given.parts.length === 0 ? installed : given);
      const service = name as ServiceName;
      services.set(service, {
        build: now(build),
        previous: previous === null ? null : now(previous),
        deployment,
      });
      assertThere(now(build), service);
    }
    return new Deployed(file, installed, services);
  }

  /** What new processes of the service run. */
  wanted(service: ServiceName): Build {
    return this.#services.get(service)?.build ?? this.#installed;
  }

  previous(service: ServiceName): Build | null {
    return this.#services.get(service)?.previous ?? null;
  }

  deployment(service: ServiceName): Deployment | null {
    return this.#services.get(service)?.deployment ?? null;
  }

  /** The build of a process that was found running; one that is not known any more counts as the wanted one. */
  known(service: ServiceName, id: string | null): Build {
    const { build, previous = null, deployment = null } = this.#services.get(service) ?? {};
    const all = [build, previous, deployment?.from, deployment?.to, this.#installed];
    return all.find((known) => known?.id === id) ?? this.wanted(service);
  }

  /** Digests of the stored builds that may be needed again. */
  used(): ReadonlySet<string> {
    const builds = [...this.#services.values()].flatMap(({ build, previous, deployment }) => [
      build,
      previous,
      isMoving(deployment) ? deployment.to : null,
    ]);
    return new Set(builds.flatMap((build) => build?.parts ?? []));
  }

  /** Notes a change of a service; resolves when it is on disk. */
  async set(service: ServiceName, change: Partial<ServiceBuilds>): Promise<void> {
    const before = this.#services.get(service) ?? {
      build: this.#installed,
      previous: null,
      deployment: null,
    };
    this.#services.set(service, { ...before, ...change });
    this.#writing = this.#writing.catch(() => undefined).then(() => this.#write());
    await this.#writing;
  }

  async #write(): Promise<void> {
    const draft = `${this.#file}.draft`;
    await mkdir(join(this.#file, '..'), { recursive: true, mode: 0o700 });
    await writeFile(draft, `${JSON.stringify(Object.fromEntries(this.#services))}\n`, { mode: 0o600 });
    await rename(draft, this.#file);
  }
}
