export { systemClock } from './clock.ts';
export { giveWay } from './priority.ts';
export { systemRandom } from './random.ts';
