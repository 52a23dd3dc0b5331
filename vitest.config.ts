import { defineConfig } from 'vitest/config';

/** The examples import the package by its name; in the repository that means its sources. */
const conditions = ['tandem-source'];
const resolution = [...conditions, 'module', 'node', 'development|production'];

/** Tests of the product as a user runs it take minutes: `npm run test:system`. */
const project = process.env['TANDEM_TESTS'] === 'system' ? 'system' : 'fast';

export default defineConfig({
  resolve: { conditions: resolution },
  ssr: { resolve: { conditions: resolution, externalConditions: conditions } },
  test: {
    include:
      project === 'system'
        ? ['test/system/**/*.test.ts']
        : ['{src,scripts,examples}/**/*.test.ts', 'test/{conformance,tidy}/**/*.test.ts'],
    fileParallelism: project !== 'system',
    execArgv: ['--conditions=tandem-source'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    passWithNoTests: false,
  },
});
