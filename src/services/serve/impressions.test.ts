import { describe, expect, it } from 'vitest';
import { impressions, requests } from '../../../test/support/recommend-shop.ts';
import { compileEventReader } from '../../contract/index.ts';
import { compileImpressions, impressionId, type ReadRequest } from './impressions.ts';

function read(record: Record<string, unknown>): ReadRequest {
  const result = compileEventReader(requests)(record);
  if ('rejection' in result) throw new Error(result.rejection.reason);
  return { record, event: result.event };
}

const copied = ['requestId', 'userId', 'device'];
const make = compileImpressions({
  request: requests,
  impressions,
  item: 'itemId',
  score: 'candidateScore',
  copied,
});

describe('an impression', () => {
  it('is an event of its source, of the time of the request, whatever form its fields came in', () => {
    const request = read({ requestId: 17, at: '2026-01-01T00:00:00Z', userId: 4 });
    const made = make(request, 'red', -0.5);
    expect(made).toEqual({
      impressionId: '17:red',
      at: Date.UTC(2026, 0, 1),
      itemId: 'red',
      candidateScore: -0.5,
      requestId: '17',
      userId: '4',
    });
    expect(compileEventReader(impressions)(made)).toMatchObject({ event: { id: '17:red', key: '4' } });
    const phone = read({ requestId: 'r', at: 1, userId: 'u', device: 'phone' });
    expect(make(phone, 'red', 1)).toMatchObject({ device: 'phone' });
  });

  it('has no score where its source keeps none', () => {
    const plain = compileImpressions({ request: requests, impressions, item: 'itemId', score: null, copied });
    expect(plain(read({ requestId: 'r', at: 1, userId: 'u' }), 'red', 1)).not.toHaveProperty(
      'candidateScore',
    );
  });

  it('has an id of at most 128 characters', () => {
    const request = read({ requestId: 'r'.repeat(100), at: 1, userId: 'u' });
    expect(impressionId(request, 'i'.repeat(27))).toHaveLength(128);
    expect(() => impressionId(request, 'i'.repeat(28))).toThrow('129, 128 at most are allowed');
  });
});
