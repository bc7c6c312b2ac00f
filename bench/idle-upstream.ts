/**
 * The far end of connections that only stand: says nothing on a tunnel, and answers a POST with an event stream of one
 * event that never ends. A process of its own: node bench/idle-upstream.ts PORT. Shell: owns a TCP listener.
 */
import { createServer } from 'node:net';
import { UPSTREAM_MARK } from './request.ts';

const EVENT = `event: message\ndata: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"${UPSTREAM_MARK}"}}\n\n`;
const STREAM =
  'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n' +
  `${Buffer.byteLength(EVENT).toString(16)}\r\n${EVENT}\r\n`;

createServer((socket) => {
  socket.on('error', () => socket.destroy());
  socket.once('data', (chunk) => {
    if (chunk.toString('latin1').startsWith('POST ')) socket.write(STREAM);
  });
}).listen(Number(process.argv[2]), '127.0.0.1');
