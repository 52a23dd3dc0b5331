import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { z } from 'zod';
import { PlatformError } from '../../contract/index.ts';

/** What processes of a service run: the platform's command line, and the app that it is given. */
export const buildSchema = z.object({
  /** Short and unique; answers carry it in `x-tandem-build`. */
  id: z.string().regex(/^[\w.+-]{1,64}$/),
  /** The version that its manifest names, for people. */
  label: z.string(),
  /** File of the command line. */
  main: z.string(),
  /** File of the app. */
  app: z.string(),
  /** Digests of the stored builds that it is made of; none for what is installed. */
  parts: z.array(z.string()),
});

export type Build = Readonly<z.infer<typeof buildSchema>>;

/** A build as people call it. */
export function buildName({ id, label }: Pick<Build, 'id' | 'label'>): string {
  return id === label ? id : `${label} ${id}`;
}

/** A stored build, as far as it decides what runs. */
export interface BuildPart {
  readonly digest: string;
  readonly label: string;
  /** File of the command line, if it brings one. */
  readonly main: string | null;
  /** File of the app, if it brings one. */
  readonly app: string | null;
}

/** Digits of an id. */
const ID_DIGITS = 12;

/** What a service runs once `part` has taken the place of its platform, its app or both. */
export function composeBuild(current: Build, part: BuildPart): Build {
  const [main, app] = [part.main ?? current.main, part.app ?? current.app];
  // What stays of the current build keeps its parts, as long as a file of theirs is used.
  const kept = current.parts.filter((digest) => [main, app].some((file) => file.includes(hexOf(digest))));
  const parts = [...new Set([...kept, part.digest])];
  const id = createHash('sha256').update(`${part.digest}\0${main}\0${app}`).digest('hex').slice(0, ID_DIGITS);
  return { id, label: part.label, main, app, parts };
}

/** The digits of a digest, which name the folder of a stored build. */
export function hexOf(digest: string): string {
  return digest.replace(/^sha256:/, '');
}

/** Rejects a build whose files are gone. Throws CONFIGURATION. */
export function assertThere(build: Build, service: string): void {
  const missing = [build.main, build.app].find((file) => !existsSync(file));
  if (missing === undefined) return;
  throw new PlatformError(
    'CONFIGURATION',
    `The build ${buildName(build)} of ${service} is not there: no file ${missing}. ` +
      `Put it back, or start with 'tandem up --installed', which forgets what was deployed.`,
  );
}
