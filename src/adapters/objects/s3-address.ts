import { PlatformError } from '../../contract/errors.ts';

/** A bucket and how to reach it. */
export interface S3Address {
  readonly bucket: string;
  /** In front of every key: empty, or ending with a slash. */
  readonly prefix: string;
  readonly region: string;
  readonly endpoint: URL;
  /** The bucket stands in the path (`https://host/bucket/key`), not in the host's name. */
  readonly pathStyle: boolean;
}

/** Who signs requests. */
export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

const OPTIONS: ReadonlySet<string> = new Set(['region', 'endpoint', 'pathStyle']);

/**
 * Reads `s3://BUCKET/PREFIX?region=R&endpoint=URL&pathStyle=true`. What is not said comes from the standard variables
 * (`AWS_REGION`, `AWS_DEFAULT_REGION`, `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`), else it is Amazon's in us-east-1.
 * `pathStyle` is true by default where an endpoint is named. Throws CONFIGURATION.
 */
export function readS3Address(url: string, environment: Environment): S3Address {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol !== 's3:') throw wrong(`must look like s3://bucket/prefix?region=eu-central-1`);
  if (parsed.username !== '' || parsed.password !== '') {
    throw wrong('must not hold credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY');
  }
  const bucket = parsed.hostname;
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket))
    throw wrong(`names a bucket '${bucket}' that is none`);
  for (const name of parsed.searchParams.keys()) {
    if (!OPTIONS.has(name)) throw wrong(`has an option '${name}', known are ${[...OPTIONS].join(', ')}`);
  }
  const option = (name: string): string | undefined => parsed.searchParams.get(name) ?? undefined;
  const region =
    option('region') ?? environment['AWS_REGION'] ?? environment['AWS_DEFAULT_REGION'] ?? 'us-east-1';
  if (!/^[a-z0-9-]{1,64}$/.test(region)) throw wrong(`names a region '${region}' that is none`);
  const named =
    option('endpoint') ?? environment['AWS_ENDPOINT_URL_S3'] ?? environment['AWS_ENDPOINT_URL'] ?? undefined;
  const endpoint = named ?? `https://s3.${region}.amazonaws.com`;
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol)) {
    throw wrong(`names an endpoint '${endpoint}': expected http:// or https://`);
  }
  const style = option('pathStyle') ?? String(named !== undefined);
  if (style !== 'true' && style !== 'false') throw wrong(`has pathStyle=${style}: expected true or false`);
  const prefix = decodeURIComponent(parsed.pathname).replaceAll(/^\/+|\/+$/g, '');
  if (!/^[\w!.*'()/-]{0,512}$/.test(prefix)) {
    throw wrong(`has a prefix '${prefix}': letters, digits and !-_.*'()/ are possible`);
  }
  return {
    bucket,
    prefix: prefix === '' ? '' : `${prefix}/`,
    region,
    endpoint: new URL(endpoint),
    pathStyle: style === 'true',
  };
}

/** Credentials from the standard variables. Throws CONFIGURATION when they are not set. */
export function readS3Credentials(environment: Environment): S3Credentials {
  const accessKeyId = environment['AWS_ACCESS_KEY_ID'] ?? '';
  const secretAccessKey = environment['AWS_SECRET_ACCESS_KEY'] ?? '';
  if (accessKeyId === '' || secretAccessKey === '') {
    throw new PlatformError(
      'CONFIGURATION',
      'OBJECT_URL needs credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN for ' +
        'temporary ones)',
    );
  }
  const sessionToken = environment['AWS_SESSION_TOKEN'];
  return { accessKeyId, secretAccessKey, sessionToken: sessionToken === '' ? undefined : sessionToken };
}

function wrong(text: string): PlatformError {
  return new PlatformError('CONFIGURATION', `OBJECT_URL ${text}`);
}
