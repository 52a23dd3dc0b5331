import type { Warehouse } from '../../../runtime/index.ts';

/** A warehouse that runs other statements than it was given. */
export function altering(warehouse: Warehouse, alter: (sql: string) => string): Warehouse {
  return {
    async session() {
      const session = await warehouse.session();
      return {
        scratch: session.scratch,
        memoryBytesMax: session.memoryBytesMax,
        run: (sql) => session.run(alter(sql)),
        query: (sql) => session.query(alter(sql)),
        stream: (sql) => session.stream(sql),
        receive: (chunks) => session.receive(chunks),
        append: (table, columns) => session.append(table, columns),
        [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
      };
    },
  };
}
