import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What is done to one request instead of passing it on as it is. */
export type Fault = 'refuse' | 'drop' | 'truncate' | 'falsify';

/** A proxy that passes requests on to a port of the loopback, and does to some of them what it is told. */
export interface HttpFaults extends AsyncDisposable {
  readonly port: number;
  /** Requests that came. */
  readonly requests: number;
  /** What happens to the next requests with this method, one fault for each. */
  next(method: string, ...faults: readonly Fault[]): void;
}

export async function httpFaults(target: number): Promise<HttpFaults> {
  const planned: { readonly method: string; readonly fault: Fault }[] = [];
  let requests = 0;
  const server = createServer((incoming, response) => {
    requests += 1;
    const at = planned.findIndex(({ method }) => method === incoming.method);
    const [found] = at === -1 ? [] : planned.splice(at, 1);
    pass(incoming, response, target, found?.fault);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    get requests() {
      return requests;
    },
    next(method, ...faults) {
      for (const fault of faults) planned.push({ method, fault });
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function pass(incoming: IncomingMessage, response: ServerResponse, port: number, fault?: Fault): void {
  if (fault === 'drop') return void incoming.socket.destroy();
  if (fault === 'refuse') {
    incoming.resume();
    return void response
      .writeHead(503, { 'content-type': 'application/xml' })
      .end('<Error><Code>SlowDown</Code></Error>');
  }
  const { method, url, headers } = incoming;
  const outgoing = request({ host: '127.0.0.1', port, method, path: url, headers }, (answer) => {
    const pieces: Buffer[] = [];
    answer.on('data', (piece: Buffer) => pieces.push(piece));
    answer.on('end', () => {
      const bytes = Buffer.concat(pieces);
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      if (fault === 'truncate') {
        response.write(bytes.subarray(0, bytes.length >> 1), () => response.destroy());
        return;
      }
      if (fault === 'falsify') bytes.writeUInt8(bytes.readUInt8(0) ^ 1, 0);
      response.end(bytes);
    });
  });
  outgoing.on('error', () => response.destroy());
  incoming.pipe(outgoing);
}
