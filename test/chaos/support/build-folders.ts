import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '../../tidy/tree.ts';

/** A change of one file of the sources. */
export interface SourceEdit {
  readonly file: string;
  /** Text that must be there. */
  readonly find: string;
  readonly replace: string;
}

/**
 * Makes a build of the platform that says of itself that it is another one, with the edits. Throws when a text to replace
 * is not there: then the sources have moved on, and the build would not be the one that is meant.
 */
export async function makeBuild(
  folder: string,
  marker: string,
  edits: readonly SourceEdit[] = [],
): Promise<string> {
  await mkdir(folder, { recursive: true });
  await cp(join(ROOT, 'src'), join(folder, 'src'), { recursive: true });
  const manifest = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as Record<string, unknown>;
  await writeFile(join(folder, 'package.json'), JSON.stringify({ ...manifest, version: `0.1.0-${marker}` }));
  for (const { file, find, replace } of edits) {
    const path = join(folder, file);
    const text = await readFile(path, 'utf8');
    if (!text.includes(find)) throw new Error(`${file} has no text ${JSON.stringify(find)}`);
    await writeFile(
      path,
      text.replace(find, () => replace),
    );
  }
  return folder;
}

const SERVE = 'src/services/serve/start.ts';
const DECISIONS = 'src/services/serve/decisions.ts';
const DECIDE =
  'handler(routes.decide, ({ params, body }, context) => decisions.decide(params.decision, body, context))';
const READY = 'ready: () => checkReadiness({ host, watch })';

/** The end of the last step of serve's schema. */
const LAST_STEP = `add column trace_id text;',\n    },`;

/** How a deployment of a broken build of serve must end. */
export interface BrokenBuild {
  readonly name: string;
  readonly edits: readonly SourceEdit[];
  readonly end: 'refused' | 'rolled back';
}

const inDecide = (replace: string): SourceEdit[] => [{ file: SERVE, find: DECIDE, replace }];

/** Builds of serve that fail, each in a way of its own. */
export const BROKEN_BUILDS: readonly BrokenBuild[] = [
  {
    name: 'ends at its start',
    end: 'rolled back',
    edits: [{ file: SERVE, find: 'watch.start();', replace: 'process.exit(9);' }],
  },
  {
    name: 'ends after two seconds',
    end: 'rolled back',
    edits: [
      {
        file: SERVE,
        find: READY,
        replace: `ready: () => {\n      setTimeout(() => process.exit(7), 2_000);\n      return checkReadiness({ host, watch });\n    }`,
      },
    ],
  },
  {
    name: 'is never ready',
    end: 'rolled back',
    edits: [{ file: SERVE, find: READY, replace: `ready: async () => ({ ready: false, reason: 'never' })` }],
  },
  {
    name: 'takes two seconds more',
    end: 'rolled back',
    edits: inDecide(
      `handler(routes.decide, async ({ params, body }, context) => {\n        await new Promise((resolve) => setTimeout(resolve, 2_000));\n        return decisions.decide(params.decision, body, context);\n      })`,
    ),
  },
  {
    name: 'has another type in its contract',
    end: 'refused',
    edits: [
      { file: 'src/contract/routes/serve.ts', find: 'score: z.number()', replace: 'score: z.string()' },
    ],
  },
  {
    name: 'answers what its contract does not allow',
    end: 'rolled back',
    edits: [
      { file: DECISIONS, find: 'return answer;', replace: 'return { ...answer, outcome: 5 as never };' },
    ],
  },
  {
    name: 'answers 500',
    end: 'rolled back',
    edits: inDecide(`handler(routes.decide, async () => {\n        throw new Error('broken');\n      })`),
  },
  {
    name: 'scores NaN',
    end: 'rolled back',
    edits: [{ file: DECISIONS, find: 'return answer;', replace: 'return { ...answer, score: Number.NaN };' }],
  },
  {
    name: 'never answers',
    end: 'rolled back',
    edits: inDecide('handler(routes.decide, () => new Promise(() => undefined))'),
  },
  {
    name: 'has a step of the schema that fails',
    end: 'rolled back',
    edits: [
      {
        file: 'src/services/serve/migrations.ts',
        find: LAST_STEP,
        replace: `${LAST_STEP} { number: 3, name: 'broken', additive: true, sql: 'create table serve_more (' },`,
      },
    ],
  },
  {
    name: 'has a step of the schema that takes something away',
    end: 'refused',
    edits: [
      {
        file: 'src/services/serve/migrations.ts',
        find: LAST_STEP,
        replace: `${LAST_STEP} { number: 3, name: 'gone', additive: true, sql: 'alter table serve_ledger drop column subject' },`,
      },
    ],
  },
];
