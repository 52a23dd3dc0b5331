import { id, key, money, source, timestamp } from '../../src/define/index.ts';

/** What a shop sells. */
export const orders = source('orders', {
  id: 'orderId',
  time: 'at',
  key: 'customerId',
  fields: { orderId: id(), at: timestamp(), customerId: key(), shopId: key(), total: money('EUR') },
});

/** What comes back: outcomes of orders. */
export const returns = source('returns', {
  id: 'returnId',
  time: 'at',
  key: 'orderId',
  fields: { returnId: id(), at: timestamp(), orderId: key() },
});
