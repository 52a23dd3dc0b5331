import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

/** The examples import the package by its name; in the repository that means its sources. */
const conditions = ['tandem-source'];
const resolution = [...conditions, 'module', 'node', 'development|production'];

/** Tests of the product as a user runs it take minutes and have a mode of their own: `npm run test:system`. */
export default defineConfig(({ mode }) => ({
  resolve: { conditions: resolution },
  ssr: { resolve: { conditions: resolution, externalConditions: conditions } },
  test: {
    include:
      mode === 'system'
        ? ['test/system/**/*.test.ts']
        : ['{src,scripts,examples}/**/*.test.ts', 'test/{chaos,conformance,tidy}/**/*.test.ts'],
    fileParallelism: mode !== 'system',
    // Files wait for servers as much as they compute: one more than the default, which leaves a core free.
    maxWorkers: mode === 'system' ? 1 : availableParallelism(),
    execArgv: ['--conditions=tandem-source'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    passWithNoTests: false,
  },
}));
