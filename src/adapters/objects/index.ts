import type { S3Objects, S3Options } from './s3.ts';

export { directoryObjects } from './directory.ts';
export type { S3Objects, S3Options };

/** Objects in a bucket. What speaks to one is loaded when it is asked for: most starts of a process need none of it. */
export async function openS3Objects(options: S3Options): Promise<S3Objects> {
  const { s3Objects } = await import('./s3.ts');
  return s3Objects(options);
}
