import { connect, type Socket } from 'node:net';

/** An answer as it came. */
export interface WireAnswer {
  readonly status: number;
  readonly text: string;
}

interface Question {
  readonly bytes: string;
  readonly resolve: (answer: WireAnswer) => void;
  readonly reject: (error: Error) => void;
}

const HEAD_END = '\r\n\r\n';
const STATUS_AT = 'HTTP/1.1 '.length;
const LENGTH = /\r\ncontent-length: *(\d+)/i;

/**
 * HTTP/1.1 over sockets that stay, one request at a time on each: the load that a lean producer makes. A library for all
 * purposes takes four times the CPU, which on one machine is taken from the server that is measured. It knows what this
 * platform's servers send (a content-length, always) and fails on anything else.
 */
export class Wire {
  readonly #host: string;
  readonly #free: Connection[];
  readonly #all: readonly Connection[];
  readonly #waiting: Question[] = [];

  constructor(url: string, connections: number) {
    const { hostname, port, host } = new URL(url);
    this.#host = host;
    this.#all = Array.from({ length: connections }, () => new Connection(hostname, Number(port)));
    this.#free = [...this.#all];
  }

  /** Sends a request, which waits while all connections are in use. `sent` must be ASCII. */
  ask(line: string, sent?: { readonly type: string; readonly body: string }): Promise<WireAnswer> {
    const head = `${line} HTTP/1.1\r\nhost: ${this.#host}\r\n`;
    const bytes =
      sent === undefined
        ? `${head}\r\n`
        : `${head}content-type: ${sent.type}\r\ncontent-length: ${String(sent.body.length)}\r\n\r\n${sent.body}`;
    return new Promise((resolve, reject) => {
      const question = { bytes, resolve, reject };
      const connection = this.#free.pop();
      if (connection === undefined) this.#waiting.push(question);
      else this.#send(connection, question);
    });
  }

  close(): void {
    for (const connection of this.#all) connection.close();
  }

  #send(connection: Connection, question: Question): void {
    connection.ask(question, () => {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free.push(connection);
      else this.#send(connection, next);
    });
  }
}

class Connection {
  readonly #host: string;
  readonly #port: number;
  /** `undefined` before the first request, and when the server closed it for being idle. */
  #socket: Socket | undefined;
  #came: Buffer | undefined;
  #question: Question | undefined;
  #done: (() => void) | undefined;

  constructor(host: string, port: number) {
    this.#host = host;
    this.#port = port;
  }

  ask(question: Question, done: () => void): void {
    this.#question = question;
    this.#done = done;
    this.#socket ??= this.#open();
    this.#socket.write(question.bytes, 'latin1');
  }

  close(): void {
    this.#socket?.destroy();
  }

  #open(): Socket {
    const socket = connect({ host: this.#host, port: this.#port, noDelay: true });
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', (error) => this.#question?.reject(error));
    socket.on('close', () => {
      this.#socket = undefined;
      this.#question?.reject(new Error('The server closed a connection in use'));
    });
    return socket;
  }

  #take(chunk: Buffer): void {
    const came = this.#came === undefined ? chunk : Buffer.concat([this.#came, chunk]);
    this.#came = came;
    const headEnd = came.indexOf(HEAD_END);
    if (headEnd === -1) return;
    const head = came.toString('latin1', 0, headEnd);
    const length = LENGTH.exec(head)?.[1];
    if (length === undefined) return this.#fail(`An answer without a length: ${head}`);
    const from = headEnd + HEAD_END.length;
    const to = from + Number(length);
    if (came.length < to) return;
    if (came.length > to) return this.#fail('Something came behind an answer');
    const question = this.#question;
    this.#came = undefined;
    this.#question = undefined;
    // Whoever waits for a connection goes first: the answer may lead to another request.
    this.#done?.();
    question?.resolve({
      status: Number(head.slice(STATUS_AT, STATUS_AT + 3)),
      text: came.toString('utf8', from, to),
    });
  }

  #fail(text: string): void {
    this.#question?.reject(new Error(text));
    this.#socket?.destroy();
  }
}
