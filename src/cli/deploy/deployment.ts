import { z } from 'zod';
import { buildSchema } from './build.ts';

/** One deployment of one service. */
export const deploymentSchema = z.object({
  from: buildSchema,
  to: buildSchema,
  /** `waiting`: other services go first. `probation`: done, but a process that ends brings the old build back. */
  phase: z.enum([
    'waiting',
    'starting',
    'canary',
    'replacing',
    'rolling back',
    'probation',
    'done',
    'rolled back',
    'left out',
  ]),
  /** Why it was rolled back or left out. */
  reason: z.string().nullable(),
  /** When it last changed, in milliseconds since 1970-01-01 UTC. */
  at: z.number(),
});
export type Deployment = Readonly<z.infer<typeof deploymentSchema>>;

const MOVING: ReadonlySet<Deployment['phase']> = new Set([
  'waiting',
  'starting',
  'canary',
  'replacing',
  'rolling back',
]);

/** Whether a deployment is still under way. */
export function isMoving(deployment: Deployment | null): deployment is Deployment {
  return deployment !== null && MOVING.has(deployment.phase);
}
