/**
 * The upstream used when nginx is not installed: answers every request on a connection with the same bytes, reading no
 * more of it than where it ends. A process of its own: node bench/upstream.ts PORT. Shell: owns a TCP listener.
 */
import { createServer, type Socket } from 'node:net';
import { UPSTREAM_BODY } from './request.ts';

const REQUEST_BYTES_MAX = 64 * 1024;

const ANSWER = Buffer.from(
  `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(UPSTREAM_BODY)}\r\n\r\n${UPSTREAM_BODY}`,
);

/** Offset behind the first request in the bytes; null while it is incomplete. */
function requestEnd(bytes: Buffer): number | null {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd < 0) return null;
  const length =
    /\r\ncontent-length: *(\d+)/i.exec(bytes.toString('latin1', 0, headEnd))?.[1] ?? '0';
  const end = headEnd + 4 + Number(length);
  return end > bytes.length ? null : end;
}

function serve(socket: Socket): void {
  let pending: Buffer = Buffer.alloc(0);
  socket.setNoDelay(true);
  socket.on('data', (chunk: Buffer) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    for (let end = requestEnd(pending); end !== null; end = requestEnd(pending)) {
      pending = pending.subarray(end);
      socket.write(ANSWER);
    }
    if (pending.length > REQUEST_BYTES_MAX) socket.destroy();
  });
  socket.on('error', () => socket.destroy());
}

createServer(serve).listen(Number(process.argv[2]), '127.0.0.1');
