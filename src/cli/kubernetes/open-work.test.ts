import { describe, expect, it } from 'vitest';
import { usePostgres } from '../../../test/support/postgres.ts';
import { train } from '../../services/train/index.ts';
import { openWork } from './scaling.ts';

describe('what KEDA asks for a service without a pod', () => {
  const postgres = usePostgres(train.migrations);
  const ask = async (): Promise<number> => {
    const rows = await postgres().tables.query<Record<string, unknown>>(openWork('train'));
    return Number(Object.values(rows[0] ?? {})[0]);
  };

  it('counts calls that wait for it, and runs that are not done', async () => {
    expect(await ask()).toBe(0);
    await postgres().instances.need('serve');
    expect(await ask()).toBe(0);
    await postgres().instances.need('train');
    expect(await ask()).toBe(1);
    await postgres().tables.query(
      `insert into train_run (id, model, state, created_at, steps, metrics, gates)
       select 'run-' || state, 'fraud', state, 0, '[]', '{}', '[]'
       from unnest(array['queued', 'running', 'succeeded', 'failed']) state`,
    );
    expect(await ask()).toBe(3);
  });
});
