import { openPostgres, type Postgres } from '../../adapters/postgres/index.ts';
import { SCALING_SIGNALS, type ServiceName } from '../../contract/index.ts';
import type { Logger } from '../../runtime/index.ts';
import { TRAIN_QUEUE } from '../../services/train/index.ts';
import type { SignalReading } from './autoscaler.ts';

/** Connections that the supervisor takes for itself. */
const CONNECTIONS_MAX = 3;

/** What is known of services without asking their processes: it must be known while none of them runs. */
export interface Outside extends AsyncDisposable {
  /** Signals by service; what cannot be read is not there. */
  look(): Promise<ReadonlyMap<ServiceName, readonly SignalReading[]>>;
}

export interface OutsideParts {
  readonly databaseUrl: string;
  /** Runs, waiting or active, for one process of train. */
  readonly openJobsTarget: number | undefined;
  readonly logger: Logger;
}

/** Looks into the database for runs that wait or are worked on. Connects when it is first asked. */
export function openOutside({ databaseUrl, openJobsTarget, logger }: OutsideParts): Outside {
  const [table] = SCALING_SIGNALS.train.filter(({ name }) => name === 'open_jobs');
  const target = openJobsTarget ?? table?.target ?? 1;
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
        const { jobs } = await open();
        const { ready, active } = await jobs.backlog(TRAIN_QUEUE);
        isAway = false;
        return new Map([['train', [{ name: 'open_jobs', value: ready + active, target, of: 'service' }]]]);
      } catch (error) {
        if (!isAway) logger.warn('Waiting runs cannot be counted; train stays as it is', { error });
        isAway = true;
        return new Map();
      }
    },
    async [Symbol.asyncDispose]() {
      const postgres = await opening?.catch(() => undefined);
      await postgres?.close();
    },
  };
}
