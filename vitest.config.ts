import { defineConfig } from 'vitest/config';

/** The examples import the package by its name; in the repository that means its sources. */
const conditions = ['tandem-source'];

export default defineConfig({
  resolve: { conditions: [...conditions, 'module', 'node', 'development|production'] },
  ssr: {
    resolve: {
      conditions: [...conditions, 'module', 'node', 'development|production'],
      externalConditions: conditions,
    },
  },
  test: {
    include: ['{src,test,scripts,examples}/**/*.test.ts'],
    execArgv: ['--conditions=tandem-source'],
    testTimeout: 20_000,
    hookTimeout: 60_000,
    passWithNoTests: false,
  },
});
