import { PlatformError } from '../../contract/index.ts';

/** An image and how firmly its name holds it. */
export interface Image {
  readonly reference: string;
  /** `digest`: always the same bytes. `tag`: as long as nobody moves it. `moving`: no tag, or `latest`. */
  readonly pinned: 'digest' | 'tag' | 'moving';
}

const HOST = '(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::\\d{1,5})?/)?';
const PATH = '[a-z0-9]+(?:[._-]+[a-z0-9]+)*';
const REFERENCE = new RegExp(
  `^${HOST}${PATH}(?:/${PATH})*(?::(?<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?<digest>@sha256:[0-9a-f]{64})?$`,
);

/** Reads the reference of an image. Throws CONFIGURATION when no registry could have one of that name. */
export function readImage(text: string): Image {
  const found = REFERENCE.exec(text);
  if (found === null) {
    throw new PlatformError(
      'CONFIGURATION',
      `--image: expected [REGISTRY/]NAME:TAG or [REGISTRY/]NAME@sha256:DIGEST, got '${text}'`,
    );
  }
  const { tag, digest } = found.groups ?? {};
  if (digest !== undefined) return { reference: text, pinned: 'digest' };
  return { reference: text, pinned: tag === undefined || tag === 'latest' ? 'moving' : 'tag' };
}
