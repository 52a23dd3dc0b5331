export { threadCompute, type ThreadComputeOptions, THREAD_DEFAULTS } from './compute.ts';
export { workerThreads } from './worker-threads.ts';
export type { TaskContext, TaskModule } from './task.ts';
