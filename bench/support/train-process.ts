import { threadCompute } from '../../src/adapters/threads/index.ts';
import { FIT_HELP, trainTasks } from '../../src/services/train/tasks.ts';
import type { TrainInput, Trained } from './train-task.ts';

// One training in a process of its own, so that its memory is its own: node train-process.ts THREADS INPUT, the input as JSON.
const [threads = '1', input = '{}'] = process.argv.slice(2);
const compute = threadCompute({
  tasks: new Map([...trainTasks, ['bench', new URL('./train-task.ts', import.meta.url)]]),
});
const helpers = { task: FIT_HELP, count: Number(threads) - 1 };
const trained = await compute.run<Trained>(
  'bench',
  JSON.parse(input) as TrainInput,
  helpers.count === 0 ? {} : { helpers },
);
console.log(JSON.stringify(trained));
