import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, stat } from 'node:fs/promises';
import { basename, join, matchesGlob } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** What a step may print, in bytes. */
const OUTPUT_MAX = 2 ** 26;

/** An image that was built into a plain folder instead. */
export interface FolderImage {
  /** The folder that stands for the image's root. */
  readonly root: string;
  readonly workingDirectory: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly user: string | undefined;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
}

export interface BuildOptions {
  readonly dockerfile: string;
  /** Folder that COPY takes files from. */
  readonly context: string;
  /** Where stages are built. */
  readonly folder: string;
  readonly arguments?: Readonly<Record<string, string>>;
  /** Images that FROM may name; any other is an empty root with what this machine has. */
  readonly images?: ReadonlyMap<string, FolderImage>;
  /** Environment of the steps. */
  readonly environment: NodeJS.ProcessEnv;
}

type Stage = { -readonly [Key in keyof FolderImage]: FolderImage[Key] };

interface Instruction {
  readonly name: string;
  readonly text: string;
}

/** Instructions in order: comments are left out, continued lines are joined. */
export function readDockerfile(text: string): Instruction[] {
  const lines = text.split('\n').filter((line) => !/^\s*(#|$)/.test(line));
  const joined = lines.join('\n').replaceAll(/\\\n\s*/g, ' ');
  return joined.split('\n').map((line) => {
    const [, name = '', rest = ''] = /^(\w+)\s+(.*)$/.exec(line.trim()) ?? [];
    if (name === '') throw new Error(`Dockerfile: expected an instruction, got '${line}'`);
    return { name, text: rest };
  });
}

/** Whether a path reaches the builder: the last pattern that names it or a folder above it decides. */
export function isSent(path: string, ignore: string): boolean {
  let isIgnored = false;
  for (const line of ignore.split('\n').map((item) => item.trim())) {
    if (line === '' || line.startsWith('#')) continue;
    const pattern = line.replace(/^!/, '');
    const parts = path.split('/');
    const above = parts.map((_, index) => parts.slice(0, index + 1).join('/'));
    if (above.some((item) => matchesGlob(item, pattern))) isIgnored = !line.startsWith('!');
  }
  return !isIgnored;
}

/** Carries the steps of a Dockerfile out in plain folders, one a stage. Knows no more instructions than ours use. */
export async function buildInFolder(options: BuildOptions): Promise<FolderImage> {
  const stages = new Map<string, Stage>();
  const values: Record<string, string> = {};
  let stage: Stage | undefined;
  for (const { name, text } of readDockerfile(await readFile(options.dockerfile, 'utf8'))) {
    const filled = text.replaceAll(/\$\{(\w+)\}/g, (_, key: string) => {
      const value = values[key];
      if (value === undefined) throw new Error(`Dockerfile: ${key} has no value in '${text}'`);
      return value;
    });
    if (name === 'ARG') {
      const [key = '', initial = ''] = text.split('=', 2);
      values[key] = options.arguments?.[key] ?? initial;
    } else if (name === 'FROM') {
      stage = await startStage(filled, stages, options);
    } else if (stage === undefined) throw new Error(`Dockerfile: ${name} before FROM`);
    else await carryOut({ name, text: filled }, stage, stages, options);
  }
  if (stage === undefined) throw new Error('Dockerfile: no FROM');
  return stage;
}

async function startStage(text: string, stages: Map<string, Stage>, options: BuildOptions): Promise<Stage> {
  const [, image = '', name = String(stages.size)] = /^(\S+)(?: AS (\S+))?$/i.exec(text) ?? [];
  const root = join(options.folder, name);
  await mkdir(join(root, 'tmp'), { recursive: true });
  const base = options.images?.get(image);
  if (base !== undefined) await cp(base.root, root, { recursive: true, verbatimSymlinks: true });
  const stage: Stage = {
    root,
    workingDirectory: base?.workingDirectory ?? '/',
    environment: base?.environment ?? {},
    user: base?.user,
    entrypoint: base?.entrypoint ?? [],
    command: base?.command ?? [],
  };
  stages.set(name, stage);
  return stage;
}

async function carryOut(
  { name, text }: Instruction,
  stage: Stage,
  stages: ReadonlyMap<string, Stage>,
  options: BuildOptions,
): Promise<void> {
  switch (name) {
    case 'WORKDIR':
      stage.workingDirectory = text;
      await mkdir(join(stage.root, text), { recursive: true });
      return;
    case 'ENV': {
      const [, key = '', value = ''] = /^(\w+)=(\S*)$/.exec(text) ?? [];
      if (key === '') throw new Error(`Dockerfile: expected ENV NAME=VALUE, got '${text}'`);
      stage.environment = { ...stage.environment, [key]: value };
      return;
    }
    case 'USER':
      stage.user = text;
      return;
    case 'ENTRYPOINT':
      stage.entrypoint = JSON.parse(text) as string[];
      return;
    case 'CMD':
      stage.command = JSON.parse(text) as string[];
      return;
    case 'LABEL':
    case 'EXPOSE':
      return;
    case 'COPY':
      return copy(text, stage, stages, options.context);
    case 'RUN':
      // Here the root is the machine's own: a step may speak of its working directory only.
      if (/(^|[\s=:])[/~]|\.\./.test(text)) throw new Error(`Dockerfile: RUN leaves its folder: ${text}`);
      await run('sh', ['-euc', text], {
        cwd: join(stage.root, stage.workingDirectory),
        env: { ...options.environment, ...stage.environment, TMPDIR: join(stage.root, 'tmp') },
        maxBuffer: OUTPUT_MAX,
      });
      return;
    default:
      throw new Error(`Dockerfile: ${name} is not known here`);
  }
}

async function copy(
  text: string,
  stage: Stage,
  stages: ReadonlyMap<string, Stage>,
  context: string,
): Promise<void> {
  const parts = text.split(/\s+/);
  const from = parts[0]?.startsWith('--from=') === true ? parts.shift()?.slice('--from='.length) : undefined;
  const source = from === undefined ? context : stages.get(from)?.root;
  if (source === undefined || parts.some((part) => part.startsWith('--'))) {
    throw new Error(`Dockerfile: COPY is not known here: ${text}`);
  }
  const target = parts.pop() ?? '';
  const place = join(stage.root, target.startsWith('/') ? '' : stage.workingDirectory, target);
  for (const path of parts) {
    const isFolder = (await stat(join(source, path))).isDirectory();
    // The contents of a folder are copied, not the folder; a file keeps its name below a target that ends in a slash.
    const to = !isFolder && target.endsWith('/') ? join(place, basename(path)) : place;
    await cp(join(source, path), to, { recursive: true, verbatimSymlinks: true });
  }
}
