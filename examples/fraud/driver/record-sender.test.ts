import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { HttpClient, Platform } from '@tandem-examples/driver';
import { afterEach, describe, expect, it } from 'vitest';
import { RecordSender } from './record-sender.ts';
import { REPORTS, TRANSACTIONS } from './record-stream.ts';

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

type Answer = (request: IncomingMessage, body: string, response: ServerResponse) => void;

async function listen(answer: Answer): Promise<HttpClient> {
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => answer(request, body, response));
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return new HttpClient({ url: `http://127.0.0.1:${String(port)}`, up: () => Promise.resolve() });
}

describe('RecordSender', () => {
  it("keeps each customer's order although requests overlap and some have to be repeated", async () => {
    const received: string[] = [];
    const reports: string[] = [];
    let calls = 0;
    using client = await listen((request, body, response) => {
      calls += 1;
      if (calls % 4 === 0) {
        request.socket.destroy();
        return;
      }
      const lines = body.trim().split('\n');
      (request.url?.includes(REPORTS) === true ? reports : received).push(...lines);
      const positions = { [TRANSACTIONS]: [received.length] };
      setTimeout(
        () => {
          response.end(JSON.stringify({ accepted: lines.length, quarantined: 0, positions, results: [] }));
        },
        (calls % 3) * 4,
      );
    });
    const sender = new RecordSender(new Platform(client));
    for (let id = 0; id < 30_000; id += 1) {
      const transaction = {
        id,
        time: id * 1_000,
        customer: id % 7,
        terminal: 0,
        cents: 0,
        scenario: 0 as const,
      };
      const waiting = sender.push({ source: TRANSACTIONS, transaction, sendAt: id, copy: false });
      if (waiting !== undefined) await waiting;
      if (id % 1_000 === 0) await sender.push({ source: REPORTS, transaction, sendAt: id, copy: id > 0 });
    }
    await sender.drain();
    expect(sender).toMatchObject({
      sent: 30_030,
      distinct: { transactions: 30_000, fraud_reports: 1 },
      quarantined: 0,
    });
    expect(reports).toHaveLength(30);
    const events = received.map((line) => JSON.parse(line) as { transactionId: string; customerId: string });
    expect(new Set(events.map(({ transactionId }) => transactionId)).size).toBe(30_000);
    for (let customer = 0; customer < 7; customer += 1) {
      const ids = events
        .filter(({ customerId }) => customerId === String(customer))
        .map(({ transactionId }) => Number(transactionId));
      expect(ids).toEqual([...ids].sort((a, b) => a - b));
    }
  });
});
