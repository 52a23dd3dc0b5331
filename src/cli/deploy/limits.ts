/** Limits of builds that are taken in. */
export const BUILD_LIMITS = {
  /** Size of a tarball, in bytes: 128 MiB. */
  tarballBytesMax: 128 * 2 ** 20,
  /** Size of all files of a build, in bytes: 256 MiB. */
  contentBytesMax: 256 * 2 ** 20,
  filesMax: 20_000,
  /** Length of a path within a build, in characters. */
  pathLengthMax: 512,
  /** Builds that are kept although nothing runs them any more, so that one can go back. */
  keptMax: 5,
  /** How long a build may take to say what it is, in milliseconds. */
  describeMs: 30_000,
  /** Size of what it says, in bytes: 8 MiB. */
  describeBytesMax: 8 * 2 ** 20,
} as const;

/** Times of a roll-out, in milliseconds. Together they keep a roll-back within 30 s of the last sign of life. */
export const ROLLOUT_TIMES = {
  /** How long a new process may take to become ready, or to come nearer to it. */
  readyMsMax: 18_000,
  /** How long it may come nearer: features that are built from a long history. 24 h. */
  backfillMsMax: 86_400_000,
  /** How long the first new process is watched beside the old ones before they are replaced. */
  canaryMs: 5_000,
  /** How often it is looked at. */
  lookMs: 500,
  /** How long it may take to answer such a look. */
  answerMsMax: 1_500,
  /** How long after a roll-out a process that ends brings the old build back. */
  probationMs: 60_000,
} as const;

/** What a new process may do worse than the old ones. */
export const ROLLOUT_LIMITS = {
  /** Answers of 500 and above that are never held against it. */
  errorsForgiven: 2,
  /** Share of such answers beyond that of the old processes. */
  errorShareMore: 0.02,
  /** Requests of a route below which its times say nothing. */
  requestsMin: 20,
  /** Mean time of a route, as a multiple of that of the old processes ... */
  secondsTimes: 3,
  /** ... and this on top, in seconds. */
  secondsMore: 0.25,
  /** Looks in a row at which it is not ready, or answers nothing while requests wait. */
  badLooksMax: 2,
  /** Requests that must wait for that, the look itself included. */
  waitingMin: 4,
} as const;
