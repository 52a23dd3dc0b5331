import { z } from 'zod';

/** The registry has nothing to set. */
export type RegistryOptions = Record<string, never>;

export const registryOptions = z.object({}).strict() as unknown as z.ZodType<RegistryOptions>;
