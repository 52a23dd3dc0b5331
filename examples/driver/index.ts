export { Decider } from './decider.ts';
export { HttpClient, isRepeatable } from './http-client.ts';
export { KillDrill } from './kill-drill.ts';
export { paced, rememberWorld } from './live.ts';
export { Latencies } from './latencies.ts';
export type { MemorySampler } from './memory-sampler.ts';
export {
  type CommonOptions,
  durationMs,
  parseCommon,
  type Places,
  share,
  UsageError,
  whole,
} from './options.ts';
export {
  type DecisionAnswer,
  type GateAnswer,
  laterPositions,
  Platform,
  type Positions,
  type Reason,
  type ReviewAnswer,
  type RunAnswer,
} from './platform.ts';
export type { Product } from './product.ts';
export { RandomStream } from './random.ts';
export { memoryText, metricText, millisecondsText, phasesText, secondsText, table } from './report.ts';
export { type OnceResult, runExample, type RunTools } from './run-example.ts';
export { runTandem } from './tandem-command.ts';
export { DAY_MS, day, instant } from './time.ts';
export { grouped, roundTo, type Timeline } from './timeline.ts';
export { trainModel, versionOf } from './training.ts';
