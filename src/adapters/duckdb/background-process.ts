import type { ResultColumns, RowAppender, Warehouse, WarehouseSession } from '../../runtime/ports/index.ts';
import { type Order, type Report, toFailure } from './orders.ts';
import type { DuckdbWarehouseOptions } from './options.ts';
import { duckdbWarehouse } from './warehouse.ts';

/** A session with the appenders that are open in it. */
interface Open {
  readonly session: WarehouseSession;
  readonly appenders: Map<number, RowAppender>;
  /** The first row that an appender did not take: whoever closes it hears of it. */
  readonly refused: Map<number, unknown>;
  /** Results that are read piece by piece. */
  readonly streams: Map<number, AsyncGenerator<ResultColumns, void, undefined>>;
}

/** Sessions by the numbers that the other process gave them. */
class Sessions {
  readonly #warehouse: Warehouse;
  readonly #open = new Map<number, Open>();

  constructor(warehouse: Warehouse) {
    this.#warehouse = warehouse;
  }

  async obey(order: Order): Promise<unknown> {
    if (order.kind === 'open') {
      const session = await this.#warehouse.session();
      this.#open.set(order.session, {
        session,
        appenders: new Map(),
        refused: new Map(),
        streams: new Map(),
      });
      return session.scratch;
    }
    const open = this.#open.get(order.session);
    if (open === undefined) throw new Error(`There is no session ${String(order.session)}`);
    switch (order.kind) {
      case 'run':
        return open.session.run(order.sql);
      case 'query':
        return open.session.query(order.sql);
      case 'stream':
        open.streams.set(order.stream, open.session.stream(order.sql));
        return undefined;
      case 'next':
        return next(open, order.stream);
      case 'leave':
        return leave(open, order.stream);
      case 'append':
        open.appenders.set(order.appender, await open.session.append(order.table, order.columns));
        return undefined;
      case 'rows':
        return take(open, order);
      case 'close':
        return close(open, order.appender);
      case 'end':
        this.#open.delete(order.session);
        return open.session[Symbol.asyncDispose]();
    }
  }
}

async function next({ streams }: Open, number: number): Promise<ResultColumns | undefined> {
  const { value } = (await streams.get(number)?.next()) ?? {};
  return value ?? undefined;
}

async function leave({ streams }: Open, number: number): Promise<void> {
  await streams.get(number)?.return();
  streams.delete(number);
}

function take(open: Open, { appender, rows }: Extract<Order, { readonly kind: 'rows' }>): void {
  if (open.refused.has(appender)) return;
  try {
    for (const row of rows) open.appenders.get(appender)?.row(row);
  } catch (error) {
    open.refused.set(appender, error);
  }
}

async function close({ appenders, refused }: Open, number: number): Promise<void> {
  if (refused.has(number)) throw refused.get(number);
  await appenders.get(number)?.close();
  appenders.delete(number);
}

/** The other process reads what it said; when it is gone, nobody does. */
function say(report: Report): void {
  if (process.connected) process.send?.(report);
}

const options = JSON.parse(process.argv[2] ?? '{}') as DuckdbWarehouseOptions;
const sessions = new Sessions(duckdbWarehouse(options));
process.on('message', (order: Order) => {
  sessions.obey(order).then(
    (output) => say({ id: order.id, output }),
    (error: unknown) => say({ id: order.id, failure: toFailure(error) }),
  );
});
// At once: an orderly end would wait for statements that nobody needs any more.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
