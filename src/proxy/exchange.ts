/**
 * One HTTP exchange in our own words: what came in and how to answer. The pipeline works on these types only, so the
 * codec that carries the wire (node-server.ts today) can be replaced. Header names and values are as received. Pure.
 */
import type { HeaderList } from '../call/headers.ts';
import type { ReasonCode } from '../decision/reason.ts';

/** One connection of a client. */
export interface ClientConnection {
  /** UUID of this connection; the run id of calls that name no run. */
  readonly id: string;
  readonly remoteAddress: string;
  /** Calls seen so far on this connection. */
  calls: number;
}

/**
 * Where a connection leads before any request has been read on it: the CONNECT authority, the server name of the TLS
 * that ended here, or only the port the agent dialled (`host` null: captured in the clear).
 */
export interface BoundPlace {
  readonly scheme: 'http' | 'https';
  readonly host: string | null;
  readonly port: number;
}

export interface Incoming {
  readonly method: string;
  /** Request target exactly as received. */
  readonly target: string;
  readonly httpVersion: string;
  readonly headers: HeaderList;
  readonly connection: ClientConnection;
  /** Null on a connection that may lead anywhere, where each request names its own place. */
  readonly bound: BoundPlace | null;
  /** Reads the whole body once. `null`: there is none. */
  readBody(bytesMax: number): Promise<Body>;
}

export type Body =
  | { readonly ok: true; readonly bytes: Uint8Array | null }
  | { readonly ok: false; readonly reason: ReasonCode };

/** The way back to the client. After `start` only `write`, `end` and `abort` may follow. */
export interface Reply {
  /** True as soon as a status line has been written. */
  readonly started: boolean;
  /** A whole small response; its Content-Length is set here. */
  send(status: number, headers: HeaderList, body: Uint8Array): void;
  start(status: number, headers: HeaderList): void;
  /** @returns false when the client reads slowly: wait for `onDrain` before writing more. */
  write(chunk: Uint8Array): boolean;
  end(): void;
  /** Breaks the connection off, so that a cut answer never looks complete. */
  abort(): void;
  onDrain(listener: () => void): void;
  /** Called once when the client is gone before the response was complete. */
  onAborted(listener: () => void): void;
}

export type Handler = (incoming: Incoming, reply: Reply) => Promise<void>;
