import { z } from 'zod';

/** Limits and habits of the HTTP server; `TANDEM_HTTP_<OPTION>` sets them. */
export interface HttpLimits {
  /**
   * Requests answered at a time; one more is refused with OVERLOADED. Health and metrics do not count.
   * Default 1,024.
   */
  readonly requestsMax: number;
  /** Open connections; one more is closed at once. Default 4,096. */
  readonly connectionsMax: number;
  /** Size of all headers of a request, in bytes. Default 16 KiB. */
  readonly headerBytesMax: number;
  /** How long the headers may take to arrive, in milliseconds. Default 10,000. */
  readonly headerMs: number;
  /**
   * How long a JSON body may take to arrive, and a streamed one may stand still, in milliseconds. Default
   * 30,000.
   */
  readonly bodyMs: number;
  /**
   * How long an idle connection is kept, in milliseconds. Default 65,000: longer than callers keep theirs.
   */
  readonly keepAliveMs: number;
  /** Longest time a caller may ask for with `x-tandem-timeout-ms`, in milliseconds. Default 600,000. */
  readonly timeoutMsMax: number;
  /** Nesting of JSON bodies. Default 32. */
  readonly jsonDepthMax: number;
  /**
   * Size of a compressed body once decoded, in bytes, where the route's own limit does not apply. Default 4
   * GiB.
   */
  readonly decodedBytesMax: number;
  /** Decoded bytes per compressed byte, past the first MiB. Default 100. */
  readonly decodedRatioMax: number;
  /** How long `/readyz` waits for a service, in milliseconds. Default 2,000. */
  readonly readyMs: number;
  /**
   * How long a server that stops goes on taking requests, in milliseconds, so that callers have time to learn
   * that it leaves: longer than they take to read the list of instances again. It ends early when no request
   * comes. Default 1,500.
   */
  readonly drainMs: number;
  /** Names, beside those of the loopback, under which clients may address this server. Default none. */
  readonly hostNames: readonly string[];
  /**
   * Web origins, beside the server's own, from which browsers may change state, e.g.
   * `https://console.example`. Default none.
   */
  readonly origins: readonly string[];
  /** Let other processes of this user listen on the same port; the system spreads connections. Linux. Default false. */
  readonly reusePort: boolean;
  /**
   * Speak plain HTTP beyond the loopback, because TLS ends at a proxy in front of this server. Default false: without a
   * certificate only the loopback is listened on.
   */
  readonly insecureHttp: boolean;
  /** Addresses or networks of proxies whose `x-forwarded-for` says where a request comes from. Default none. */
  readonly trustedProxies: readonly string[];
}

const count = (maximum: number, value: number, text: string): z.ZodDefault<z.ZodNumber> =>
  z.number().int().min(1).max(maximum).default(value).describe(text);

const HOUR_MS = 3_600_000;

/** Schema of {@link HttpLimits}. */
export const httpLimits: z.ZodType<HttpLimits> = z
  .object({
    requestsMax: count(1_000_000, 1_024, 'Requests answered at a time; one more is refused with OVERLOADED'),
    connectionsMax: count(1_000_000, 4_096, 'Open connections; one more is closed at once'),
    headerBytesMax: count(1_048_576, 16_384, 'Size of all headers of a request, in bytes'),
    headerMs: count(HOUR_MS, 10_000, 'How long the headers may take to arrive, in milliseconds'),
    bodyMs: count(
      HOUR_MS,
      30_000,
      'How long a JSON body may take, and a streamed one stand still, in milliseconds',
    ),
    keepAliveMs: count(HOUR_MS, 65_000, 'How long an idle connection is kept, in milliseconds'),
    timeoutMsMax: count(24 * HOUR_MS, 600_000, 'Longest time a caller may ask for, in milliseconds'),
    jsonDepthMax: count(1_000, 32, 'Nesting of JSON bodies'),
    decodedBytesMax: count(2 ** 44, 4 * 2 ** 30, 'Size of a compressed body once decoded, in bytes'),
    decodedRatioMax: count(1_032, 100, 'Decoded bytes per compressed byte, past the first MiB'),
    readyMs: count(HOUR_MS, 2_000, 'How long /readyz waits for a service, in milliseconds'),
    drainMs: z
      .number()
      .int()
      .min(0)
      .max(HOUR_MS)
      .default(1_500)
      .describe('How long a server that stops goes on taking requests, in milliseconds'),
    hostNames: z.array(z.string()).default([]).describe('Names under which clients may address this server'),
    origins: z.array(z.string()).default([]).describe('Web origins from which browsers may change state'),
    reusePort: z
      .boolean()
      .default(false)
      .describe('Let other processes of this user listen on the same port (Linux)'),
    insecureHttp: z
      .boolean()
      .default(false)
      .describe('Speak plain HTTP beyond the loopback, because TLS ends at a proxy in front'),
    trustedProxies: z
      .array(z.string())
      .default([])
      .describe('Addresses or networks of proxies whose x-forwarded-for is believed'),
  })
  .strict();
