import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { PlatformError } from '../../contract/index.ts';
import { rawRefusal } from './answer.ts';

/** How long a client that was told so may take to close its connection, in milliseconds. */
const FAREWELL_MS = 250;

/** The open connections of a server, and how many requests each of them is being answered on. */
export class Connections {
  readonly #open = new Map<Socket, number>();

  constructor(server: Server) {
    // On TLS the raw socket is none that requests know of.
    const event = 'setSecureContext' in server ? 'secureConnection' : 'connection';
    server.on(event, (socket: Socket) => {
      this.#open.set(socket, 0);
      socket.once('close', () => void this.#open.delete(socket));
    });
  }

  begin(socket: Socket): void {
    this.#count(socket, 1);
  }

  end(socket: Socket): void {
    this.#count(socket, -1);
  }

  #count(socket: Socket, change: number): void {
    const requests = this.#open.get(socket);
    if (requests !== undefined) this.#open.set(socket, requests + change);
  }

  /**
   * Closes the connections that nothing is being answered on. Each gets a last answer that says that nothing was
   * begun: a client that sends a request at this very moment takes it for the answer to it and may send it again
   * elsewhere, while a connection that just ended would leave it in doubt. To all others it is the end of an idle
   * connection. Resolves when they are closed.
   */
  async closeIdle(): Promise<void> {
    const farewell = rawRefusal(new PlatformError('UNAVAILABLE', 'This server has stopped; ask another one'));
    const idle = [...this.#open].flatMap(([socket, requests]) => (requests === 0 ? [socket] : []));
    await Promise.all(idle.map((socket) => leave(socket, farewell)));
  }
}

function leave(socket: Socket, farewell: string): Promise<void> {
  return new Promise((resolve) => {
    // Closing at once would reset a connection with unread bytes, and the answer would be lost with it.
    const timer = setTimeout(() => socket.destroy(), FAREWELL_MS);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    if (socket.destroyed || !socket.writable) socket.destroy();
    else socket.end(farewell);
  });
}
