import { describe, expect, it } from 'vitest';
import { testWorld } from '../../../test/support/service-host.ts';
import { SOURCE_PARTITIONS, sourceTopic } from '../../contract/index.ts';
import {
  count,
  decision,
  defineApp,
  defineModel,
  features as defineFeatures,
  id,
  key,
  label,
  logistic,
  source,
  timestamp,
  vector,
} from '../../define/index.ts';
import { features } from './index.ts';

const visits = source('visits', {
  id: 'visitId',
  time: 'at',
  key: 'userId',
  fields: { visitId: id(), at: timestamp(), userId: key() },
});
const buys = source('buys', {
  id: 'buyId',
  time: 'at',
  key: 'visitId',
  fields: { buyId: id(), at: timestamp(), visitId: key() },
});
const bought = label('bought', { of: visits, from: buys, on: 'visitId', maturesAfter: '1d' });
const user = defineFeatures('user', { from: visits, key: 'userId' }, () => ({ n: count().over('1h') }));
const seen = vector('seen', { candidate: visits, user });
const model = defineModel('m', { vector: seen, label: bought, trainer: logistic() });
const app = defineApp('visits', { decisions: { d: decision('d', { model, subject: 'userId' }) } });

/** What one file takes of a partition, and how many files there are to write. */
const FILE_RECORDS = 10_000;
const FILES = 4;
/** Between two rounds of the archive, in milliseconds: with one file a round it would take FILES times that. */
const ARCHIVE_MS = 12_000;

describe('the archive', () => {
  it('writes file after file until it has reached the end of the log', async () => {
    await using world = await testWorld();
    const { log, tables } = world.postgres;
    await world.postgres.migrate([features.migrations]);
    const topic = sourceTopic('visits');
    await log.createTopic(topic, { partitions: SOURCE_PARTITIONS });
    for (let file = 0; file < FILES; file += 1) {
      const made = Array.from({ length: FILE_RECORDS }, (_, index) => {
        const visitId = `v${String(file)}-${String(index)}`;
        return Buffer.from(JSON.stringify({ visitId, at: Date.now() - 1_000, userId: 'u1' }));
      });
      await log.append(topic, 0, made);
    }
    const options = { archiveMs: ARCHIVE_MS, archiveRecordsMax: 1_000, archiveFilesMax: 24 };
    const service = await world.start(features, app, options);
    const archived = async (): Promise<{ files: number; rows: number }> => {
      const [row] = await tables.query<{ files: number; rows: number }>(
        'select count(*)::float8 as files, coalesce(sum(rows), 0)::float8 as rows from features_archive_file',
      );
      return { files: row?.files ?? 0, rows: row?.rows ?? 0 };
    };
    await expect
      .poll(archived, { timeout: 3.7 * ARCHIVE_MS, interval: 50 })
      .toEqual({ files: FILES, rows: FILE_RECORDS * FILES });
    await service.stop(1_000);
  });
});
