import { openPostgres, type Postgres } from '../../adapters/postgres/index.ts';
import { SCALING_SIGNALS, type ServiceName } from '../../contract/index.ts';
import type { Logger } from '../../runtime/index.ts';
import { TRAIN_QUEUE, TRIAL_QUEUE } from '../../services/train/index.ts';
import type { SignalReading } from './autoscaler.ts';

/** Connections that the supervisor takes for itself. */
const CONNECTIONS_MAX = 3;

/** What is known of services without asking their processes: it must be known while none of them runs. */
export interface OutsideLook {
  /** Signals by service; what cannot be read is not there. */
  readonly signals: ReadonlyMap<ServiceName, readonly SignalReading[]>;
  /** Services for which a call waits, with how long ago the last one said so, in milliseconds. */
  readonly needs: ReadonlyMap<ServiceName, number>;
}

export interface Outside extends AsyncDisposable {
  look(): Promise<OutsideLook>;
}

export interface OutsideParts {
  readonly databaseUrl: string;
  /** Runs, waiting or active, for one process of train. */
  readonly openJobsTarget: number | undefined;
  readonly logger: Logger;
}

/** Looks into the database for runs and for calls that wait. Connects when it is first asked. */
export function openOutside({ databaseUrl, openJobsTarget, logger }: OutsideParts): Outside {
  const target =
    openJobsTarget ?? SCALING_SIGNALS.train.find(({ name }) => name === 'open_jobs')?.target ?? 1;
  let opening: Promise<Postgres> | undefined;
  let isAway = false;
  const open = (): Promise<Postgres> => {
    opening ??= openPostgres(databaseUrl, {
      applicationName: 'tandem up',
      connectionsMax: CONNECTIONS_MAX,
    }).catch((error: unknown) => {
      opening = undefined;
      throw error;
    });
    return opening;
  };
  return {
    async look() {
      try {
        const { jobs, instances } = await open();
        const [runs, trials, needs] = await Promise.all([
          jobs.backlog(TRAIN_QUEUE),
          jobs.backlog(TRIAL_QUEUE),
          instances.needs(),
        ]);
        const value = runs.ready + runs.active + trials.ready + trials.active;
        if (isAway) logger.info('Waiting runs and calls can be counted again');
        isAway = false;
        return {
          signals: new Map([['train', [{ name: 'open_jobs', value, target, of: 'service' }]]]),
          needs: new Map(needs.map(({ service, agoMs }) => [service, agoMs])),
        };
      } catch (error) {
        if (!isAway) logger.warn('Waiting runs and calls cannot be counted; train stays as it is', { error });
        isAway = true;
        return { signals: new Map(), needs: new Map() };
      }
    },
    async [Symbol.asyncDispose]() {
      const postgres = await opening?.catch(() => undefined);
      await postgres?.close();
    },
  };
}
