import { PlatformError } from '../../../contract/errors.ts';
import type { Claim, ConsumerGroups, Tables } from '../../../runtime/ports/index.ts';
import type { Topics } from './topics.ts';

const LEASE_MS_MAX = 3_600_000;
const GROUP_LENGTH_MAX = 200;

/** The port `ConsumerGroups`: one row per group and partition; every claim raises its epoch. */
export function postgresGroups(tables: Tables, topics: Topics): ConsumerGroups {
  return {
    async claim(topic, group, partition, owner, leaseMs) {
      const { id, partitions } = await topics.find(topic);
      checkClaim(group, partition, partitions, leaseMs);
      const rows = await tables.query<{ epoch: number; committed: number }>(
        `insert into tandem_log_group as known (topic, name, part, owner, epoch, lease_until)
         values ($1, $2, $3, $4, 1, now() + $5::float8 * interval '1 ms')
         on conflict (topic, name, part) do update
         set owner = excluded.owner, epoch = known.epoch + 1, lease_until = excluded.lease_until
         where known.owner is null or known.owner = excluded.owner or known.lease_until <= now()
         returning epoch, committed`,
        [id, group, partition, owner, leaseMs],
      );
      const row = rows[0];
      return row === undefined ? undefined : { topic, group, partition, owner, ...row };
    },
    async renew(claim, leaseMs) {
      checkLease(leaseMs);
      const rows = await tables.query(
        `update tandem_log_group set lease_until = now() + $6::float8 * interval '1 ms' where ${HELD} returning 1`,
        [...(await identity(topics, claim)), leaseMs],
      );
      return rows.length > 0;
    },
    async commit(claim, offset, tx) {
      if (!Number.isSafeInteger(offset) || offset < claim.committed) {
        throw new PlatformError(
          'BAD_REQUEST',
          `A position only rises: ${offset} is below ${claim.committed}`,
        );
      }
      const rows = await (tx ?? tables).query(
        `update tandem_log_group set committed = greatest(committed, $6) where ${HELD} returning 1`,
        [...(await identity(topics, claim)), offset],
      );
      if (rows.length > 0) return;
      throw new PlatformError(
        'FENCED',
        `${claim.owner} no longer holds ${claim.topic}/${claim.partition} for group ${claim.group} (epoch ${claim.epoch})`,
        {
          details: { topic: claim.topic, group: claim.group, partition: claim.partition, epoch: claim.epoch },
        },
      );
    },
    async release(claim) {
      await tables.query(
        `update tandem_log_group set owner = null, lease_until = '-infinity' where ${HELD}`,
        await identity(topics, claim),
      );
    },
    async positions(topic, group) {
      const { id, partitions } = await topics.find(topic);
      const rows = await tables.query<{ part: number; committed: number }>(
        'select part, committed from tandem_log_group where topic = $1 and name = $2',
        [id, group],
      );
      const positions = Array.from({ length: partitions }, () => 0);
      for (const { part, committed } of rows) positions[part] = committed;
      return positions;
    },
  };
}

/** The row of a claim, if nobody has claimed it since. */
const HELD = 'topic = $1 and name = $2 and part = $3 and owner = $4 and epoch = $5';

async function identity(topics: Topics, claim: Claim): Promise<unknown[]> {
  const { id } = await topics.find(claim.topic);
  return [id, claim.group, claim.partition, claim.owner, claim.epoch];
}

function checkClaim(group: string, partition: number, partitions: number, leaseMs: number): void {
  if (group === '' || group.length > GROUP_LENGTH_MAX) {
    throw new PlatformError('BAD_REQUEST', `A group's name has 1 to ${GROUP_LENGTH_MAX} characters`);
  }
  if (!Number.isInteger(partition) || partition < 0 || partition >= partitions) {
    throw new PlatformError(
      'BAD_REQUEST',
      `The topic has the partitions 0 to ${partitions - 1}, not ${partition}`,
    );
  }
  checkLease(leaseMs);
}

function checkLease(leaseMs: number): void {
  if (leaseMs > 0 && leaseMs <= LEASE_MS_MAX) return;
  throw new PlatformError('BAD_REQUEST', `A lease lasts up to ${LEASE_MS_MAX} ms, not ${leaseMs}`);
}
