import { z } from 'zod';

/** Requests that one key or person may make in a second, by role; each gateway process counts for itself. */
export interface GatewayOptions {
  /** Default 50. */
  readonly readerRequestsPerSecond: number;
  /** Default 5,000: an application that decides for all of its users. */
  readonly producerRequestsPerSecond: number;
  /** Default 50. */
  readonly scientistRequestsPerSecond: number;
  /** Default 50. */
  readonly reviewerRequestsPerSecond: number;
  /** Default 50. */
  readonly operatorRequestsPerSecond: number;
  /** Default 1,000. */
  readonly adminRequestsPerSecond: number;
  /** For how many seconds' worth of requests somebody may have been silent before. Default 2. */
  readonly burstSeconds: number;
}

const rate = (value: number, role: string): z.ZodDefault<z.ZodNumber> =>
  z.number().min(0.01).max(1_000_000).default(value).describe(`Requests of one ${role} in a second`);

export const gatewayOptions: z.ZodType<GatewayOptions> = z
  .object({
    readerRequestsPerSecond: rate(50, 'reader'),
    producerRequestsPerSecond: rate(5_000, 'producer'),
    scientistRequestsPerSecond: rate(50, 'scientist'),
    reviewerRequestsPerSecond: rate(50, 'reviewer'),
    operatorRequestsPerSecond: rate(50, 'operator'),
    adminRequestsPerSecond: rate(1_000, 'admin'),
    burstSeconds: z
      .number()
      .min(0.1)
      .max(3_600)
      .default(2)
      .describe("How many seconds' worth of requests may come at once"),
  })
  .strict();
