import { workerData } from 'node:worker_threads';
import { HelperState } from './helper-link.ts';
import type { HelperInput, HelperModule } from './task.ts';

const { module, index, port, state } = workerData as HelperInput;
const shared = new HelperState(state);
const { help } = (await import(module)) as Partial<HelperModule>;
if (typeof help !== 'function') throw new TypeError(`The module ${module} exports no function 'help'`);
port.on('message', (order: unknown) => {
  help(order);
  const { user, system } = process.threadCpuUsage();
  shared.end(index, user + system);
});
