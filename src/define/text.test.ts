import { describe, expect, it } from 'vitest';
import {
  boolean,
  category,
  code,
  codeOf,
  compileExpression,
  defineModel,
  Expression,
  features,
  gbdt,
  id,
  key,
  label,
  last,
  lastK,
  mean,
  source,
  text,
  timestamp,
  vector,
} from './index.ts';

const views = source('views', {
  id: 'viewId',
  time: 'at',
  key: 'userId',
  fields: {
    viewId: id(),
    at: timestamp(),
    userId: key(),
    itemId: key(),
    device: text({ optional: true }),
    guest: boolean(),
  },
});
const purchases = source('purchases', {
  id: 'purchaseId',
  time: 'at',
  key: 'viewId',
  fields: { purchaseId: id(), at: timestamp(), viewId: key() },
});
const device = new Expression<'string'>({ op: 'field', name: 'device', type: 'string' });

describe('code', () => {
  it('is the first 52 bits of the SHA-256', () => {
    // FIPS 180-4: SHA-256('abc') begins with ba7816bf 8f01cfea, that of nothing with e3b0c442 98fc1c14.
    expect(codeOf('abc')).toBe(0xba7816bf8f01c);
    expect(codeOf('')).toBe(0xe3b0c44298fc1);
    expect(compileExpression(code(device).node)({ device: 'abc' })).toBe(codeOf('abc'));
    expect(compileExpression(code(device).node)({ device: null })).toBeNull();
  });

  it('can be aggregated, as in the latest items of a user', () => {
    const recent = features('recent', { from: views, key: 'userId' }, (v) => ({
      items: lastK(code(v.itemId), 2).over('1d'),
    }));
    expect(recent.features.map(({ name }) => name)).toEqual(['items_1d_1', 'items_1d_2']);
  });

  it('is not of an aggregate, whose text is kept as a hash', () => {
    const wrong = (): unknown =>
      features('recent', { from: views, key: 'userId' }, (v) => ({
        item: code(last(v.itemId).over('1d').value().orElse('none')),
      }));
    expect(wrong).toThrow(/write last\(code\(\.\.\.\)\)/);
  });
});

describe('category', () => {
  it('is the place among the categories, null where there is none', () => {
    const place = compileExpression(category(device, ['phone', '', 'desk']).node);
    const texts = ['phone', '', 'desk', 'Phone', 'tv', null];
    expect(texts.map((value) => place({ device: value }))).toEqual([0, 1, 2, null, null, null]);
  });

  it.each([
    [[], /1 to 255 texts; got 0/],
    [Array.from({ length: 256 }, String), /1 to 255 texts; got 256/],
    [['a', 'b', 'a'], /'a' twice/],
    [['a\0'], /without NUL.*number 1/],
    [['a', '\ud800'], /well-formed.*number 2/],
    [['x'.repeat(201)], /at most 200 characters/],
    [[1] as unknown as string[], /number 1 is 1/],
    ['phone' as unknown as string[], /list of 1 to 255 texts; got string/],
  ])('takes only different texts: %j', (categories, message) => {
    expect(() => category(device, categories)).toThrow(message);
    expect(() => category(device, categories)).toThrow(TypeError);
  });

  it('has no order that a model could keep to', () => {
    const visit = vector('visit', { candidate: views, device: (v) => category(v.device, ['phone', 'desk']) });
    const bought = label('bought', { of: views, from: purchases, on: 'viewId', maturesAfter: '1d' });
    const trainer = gbdt({ monotone: { device: 'rising' } });
    expect(() => defineModel('m', { vector: visit, label: bought, trainer })).toThrow(
      "Model 'm': monotone 'device' is categorical, and its categories have no order",
    );
  });

  it('makes a value of a vector categorical, also the latest one of a group', () => {
    const devices = ['phone', 'desk'];
    const recent = features('recent', { from: views, key: 'userId' }, (v) => ({
      device: last(category(v.device, devices)).over('1d'),
      devices: lastK(category(v.device, devices), 1).over('1d'),
      filled: last(category(v.device, devices)).over('1d').orElse(-1),
      before: category(last(v.device).over('1d').value(), devices),
      often: mean(category(v.device, devices)).over('1d'),
    }));
    const { values, hash } = vector('visit', {
      candidate: views,
      recent,
      device: (v) => category(v.device, devices),
      isPhone: (v) => category(v.device, devices).equals(0),
      isGuest: (v) => v.guest,
    });
    const known = values.flatMap((value) => (value.categories === undefined ? [] : [value.name]));
    expect(known).toEqual(['recent_device_1d', 'recent_devices_1d_1', 'recent_before', 'device']);
    expect(values.at(-3)?.categories).toEqual(devices);
    const turned = vector('visit', {
      candidate: views,
      recent,
      device: (v) => category(v.device, devices.toReversed()),
      isPhone: (v) => category(v.device, devices).equals(0),
      isGuest: (v) => v.guest,
    });
    expect(turned.hash).not.toBe(hash);
  });
});
