export { directoryObjects } from './directory.ts';
export { type S3Objects, s3Objects, type S3Options } from './s3.ts';
