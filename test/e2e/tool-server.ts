/**
 * Tools for tests: one that speaks HTTP and remembers every call it received, and one that says whatever bytes a test
 * wants. Shell: owns a listening socket until `close`.
 */
import { once } from 'node:events';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { type AddressInfo, createServer as createSocketServer, type Socket } from 'node:net';

export interface ReceivedCall {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Trace id the call came with; empty when it had none. */
  readonly traceId: string;
}

export interface Tool {
  readonly port: number;
  readonly url: string;
  /** Every call that arrived whole, in order. */
  readonly received: ReceivedCall[];
  close(): Promise<void>;
}

export type Answer = (
  call: ReceivedCall,
  response: ServerResponse,
  request: IncomingMessage,
) => void;

/** @param answer default: an MCP result that says `sent`. */
export async function startTool(answer: Answer = answerSent): Promise<Tool> {
  const received: ReceivedCall[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('error', () => response.destroy());
    request.on('end', () => {
      const call = receivedCall(request, Buffer.concat(chunks).toString());
      received.push(call);
      answer(call, response, request);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    received,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

export const answerSent: Answer = ({ body }, response) => {
  const { id = null } = body.startsWith('{') ? (JSON.parse(body) as { id?: unknown }) : {};
  const result = { content: [{ type: 'text', text: 'sent' }] };
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ jsonrpc: '2.0', id, result }));
};

function receivedCall(request: IncomingMessage, body: string): ReceivedCall {
  const { method = '', url = '', headers } = request;
  const traceparent = String(headers['traceparent'] ?? '');
  return { method, url, headers, body, traceId: traceparent.split('-')[1] ?? '' };
}

export interface RawTool {
  readonly port: number;
  readonly url: string;
  /** Connections so far. */
  readonly connections: () => number;
  close(): Promise<void>;
}

/** @param onRequest gets the socket when the head of the first request on a connection has arrived. */
export async function startRawTool(onRequest: (socket: Socket) => void): Promise<RawTool> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createSocketServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
    let head = '';
    const look = (chunk: Buffer) => {
      head += chunk.toString('latin1');
      if (!head.includes('\r\n\r\n')) return;
      socket.off('data', look);
      socket.resume();
      onRequest(socket);
    };
    socket.on('data', look);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    connections: () => connections,
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}
