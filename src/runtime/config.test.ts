import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { PlatformError } from '../contract/index.ts';
import { type ConfigSection, readConfig, variableName } from './config.ts';

interface IngestOptions {
  readonly queuedBytesMax: number;
  readonly clock: 'wall' | 'event';
  readonly strict: boolean;
  readonly hosts: readonly string[];
}

const ingest: ConfigSection<IngestOptions> = {
  name: 'ingest',
  prefix: 'TANDEM_INGEST_',
  schema: z
    .object({
      queuedBytesMax: z.number().int().min(1).default(100).describe('Bytes that may wait'),
      clock: z.enum(['wall', 'event']).default('wall'),
      strict: z.boolean().default(false),
      hosts: z.array(z.string()).default([]),
    })
    .strict(),
};
const common: ConfigSection<{
  readonly url?: string | undefined;
  readonly databaseUrl?: string | undefined;
}> = {
  name: 'process',
  prefix: 'TANDEM_',
  schema: z.object({ url: z.string().optional(), databaseUrl: z.string().optional() }).strict(),
  variables: { databaseUrl: 'DATABASE_URL' },
  secrets: ['databaseUrl'],
};

const read = (environment: Record<string, string>, flags = {}) =>
  readConfig([ingest, common], { environment, flags });

function messageOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (PlatformError.is(error) && error.code === 'CONFIGURATION') return error.message;
    throw error;
  }
  throw new TypeError('Nothing was thrown');
}

describe('readConfig', () => {
  it('prefers flags over the environment over defaults, and says where each value is from', () => {
    const environment = { TANDEM_INGEST_QUEUED_BYTES_MAX: '200', TANDEM_INGEST_CLOCK: 'event', PATH: '/bin' };
    const config = read(environment, { ingest: { queuedBytesMax: '300' } });
    expect(config.section(ingest)).toEqual({ queuedBytesMax: 300, clock: 'event', strict: false, hosts: [] });
    expect(config.entries.map(({ option, value, origin }) => [option, value, origin])).toEqual([
      ['queuedBytesMax', 300, 'flag'],
      ['clock', 'event', 'environment'],
      ['strict', false, 'default'],
      ['hosts', [], 'default'],
      ['url', undefined, 'default'],
      ['databaseUrl', undefined, 'default'],
    ]);
    expect(config.entries[0]).toMatchObject({
      section: 'ingest',
      variable: 'TANDEM_INGEST_QUEUED_BYTES_MAX',
      description: 'Bytes that may wait',
    });
  });

  it('reads texts as what the option is', () => {
    const environment = {
      TANDEM_INGEST_STRICT: 'yes',
      TANDEM_INGEST_HOSTS: 'a.example, b.example,',
      TANDEM_INGEST_CLOCK: '',
    };
    expect(read(environment).section(ingest)).toMatchObject({
      strict: true,
      hosts: ['a.example', 'b.example'],
      clock: 'wall',
    });
  });

  it('masks secrets and freezes what it read', () => {
    const config = read({ DATABASE_URL: 'postgres://user:secret@host/db' });
    expect(config.section(common).databaseUrl).toContain('secret');
    expect(JSON.stringify(config.entries)).not.toContain('secret');
    expect(Object.isFrozen(config.section(ingest))).toBe(true);
  });

  it.each([
    [{ TANDEM_INGEST_QUEUED_BYTE_MAX: '1' }, "Did you mean 'TANDEM_INGEST_QUEUED_BYTES_MAX'?"],
    [{ TANDEM_ULR: 'x' }, "Did you mean 'TANDEM_URL'?"],
    [{ TANDEM_SOMETHING_ELSE_ENTIRELY: 'x' }, "TANDEM_SOMETHING_ELSE_ENTIRELY is not known. 'tandem config'"],
    [
      { TANDEM_INGEST_QUEUED_BYTES_MAX: 'many' },
      'TANDEM_INGEST_QUEUED_BYTES_MAX: expected number, received string',
    ],
    [{ TANDEM_INGEST_QUEUED_BYTES_MAX: '0' }, 'TANDEM_INGEST_QUEUED_BYTES_MAX: '],
    [{ TANDEM_INGEST_CLOCK: 'sun' }, 'TANDEM_INGEST_CLOCK: Invalid option: expected one of "wall"|"event"'],
  ])('refuses %o', (environment, text) => {
    expect(messageOf(() => read(environment))).toContain(text);
  });

  it('refuses flags that no section knows, and names the flag of a wrong value', () => {
    expect(messageOf(() => read({}, { ingest: { clok: 'wall' } }))).toContain("Did you mean 'ingest.clock'?");
    expect(messageOf(() => read({}, { ingest: { clock: 'sun' } }))).toContain('ingest.clock: ');
  });
});

describe('variableName', () => {
  it('takes words apart', () => {
    expect(variableName('TANDEM_SERVE_', 'latencyMsP99Max')).toBe('TANDEM_SERVE_LATENCY_MS_P99_MAX');
  });
});
