import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { systemClock, systemRandom } from '../adapters/system/index.ts';
import { PlatformError } from '../contract/index.ts';
import {
  ArmedFailPoints,
  type FailPoints,
  type Logger,
  noFailPoints,
  parseFailPoints,
} from '../runtime/index.ts';

/** How often a process looks whether it is to arm points, in milliseconds. */
const LOOK_MS = 50;
/** What a value begins with that names a folder of orders. */
const FOLDER = 'folder:';

/**
 * The fail-points of this process, as `TANDEM_FAIL_POINTS` says: unset, none is ever armed. Else points as
 * {@link parseFailPoints} reads them, or `folder:PATH`, where a chaos run leaves orders while this process runs: a
 * file `KIND.arm` is for one process of that kind (a service, `up` or `dev`), `KIND.start.arm` for the next one that
 * starts, `PID.arm` for that one. Who takes an order renames it to `PID.armed`, and writes the name of a point that acts
 * to `PID.fired` before it does.
 *
 * Throws CONFIGURATION for a value it cannot read, and whenever NODE_ENV is `production`.
 */
export function openFailPoints(given: string | undefined, kind: string, logger: Logger): FailPoints {
  if (given === undefined) return noFailPoints;
  if (process.env['NODE_ENV'] === 'production') {
    throw new PlatformError(
      'CONFIGURATION',
      'TANDEM_FAIL_POINTS makes processes fail on purpose, and NODE_ENV is production: unset one of them',
    );
  }
  const folder = given.startsWith(FOLDER) ? resolve(given.slice(FOLDER.length)) : undefined;
  const points = new ArmedFailPoints({
    clock: systemClock(),
    random: systemRandom(),
    die: () => process.kill(process.pid, 'SIGKILL'),
    fired: ({ name, action }) => {
      logger.warn('A fail-point acts', { point: name, action: action.kind });
      if (folder !== undefined) writeFileSync(join(folder, `${String(process.pid)}.fired`), name);
    },
  });
  logger.warn('Fail-points can make this process fail on purpose', { points: given });
  if (folder === undefined) points.arm(parseFailPoints(given));
  else followOrders(folder, kind, points, logger);
  return points;
}

/** Takes orders, the first before it returns, so that also points of the start can be armed. */
function followOrders(folder: string, kind: string, points: ArmedFailPoints, logger: Logger): void {
  const own = String(process.pid);
  const look = (names: readonly string[]): void => {
    for (const name of names) {
      const text = take(join(folder, `${name}.arm`), join(folder, `${own}.armed`));
      if (text === undefined) continue;
      try {
        points.arm(parseFailPoints(text));
      } catch (error) {
        logger.error('An order to arm fail-points cannot be read', { text, error });
      }
    }
  };
  look([`${kind}.start`, kind]);
  setInterval(look, LOOK_MS, [kind, own]).unref();
}

/** Renaming is atomic: of several processes of a kind one takes the order. */
function take(from: string, to: string): string | undefined {
  try {
    renameSync(from, to);
    return readFileSync(to, 'utf8');
  } catch {
    return undefined;
  }
}
