export { threadCompute, type ThreadComputeOptions, THREAD_DEFAULTS } from './compute.ts';
export type { TaskContext, TaskModule } from './task.ts';
