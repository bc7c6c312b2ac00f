/**
 * Both peers of a WebSocket as bytes, for what no library would send: a tool that answers handshakes in any way, and an
 * agent that writes frames as a test wants them. Frames are written and read here in their own simple way.
 * Shell: owns the sockets it opens until the test ends.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';

export interface SeenFrame {
  readonly opcode: number;
  readonly fin: boolean;
  readonly masked: boolean;
  readonly text: string;
}

/** One side of an open connection. */
export interface Peer {
  readonly socket: Socket;
  /** What came before the frames: request or status line and headers. */
  readonly head: string;
  readonly frames: SeenFrame[];
  /** True when the other side has ended the connection. */
  ended: boolean;
  send(bytes: Uint8Array): void;
}

const MASK = Uint8Array.of(9, 8, 7, 6);

/** @param fields RFC 6455 section 5.2, by default one whole text frame. */
export function frame(
  text: string | Uint8Array,
  fields: { opcode?: number; fin?: boolean; masked?: boolean; rsv?: number } = {},
): Buffer {
  const { opcode = 1, fin = true, masked = false, rsv = 0 } = fields;
  const payload = Buffer.from(text);
  const size = payload.length;
  const length =
    size < 126 ? [size] : size < 65_536 ? [126, size >> 8, size & 255] : longLength(size);
  const first = (fin ? 128 : 0) | (rsv << 4) | opcode;
  length[0] = (length[0] ?? 0) | (masked ? 128 : 0);
  if (!masked) return Buffer.concat([Buffer.from([first, ...length]), payload]);
  const hidden = payload.map((byte, index) => byte ^ (MASK[index % 4] ?? 0));
  return Buffer.concat([Buffer.from([first, ...length]), MASK, hidden]);
}

function longLength(size: number): number[] {
  const bytes = Buffer.alloc(9);
  bytes[0] = 127;
  bytes.writeBigUInt64BE(BigInt(size), 1);
  return [...bytes];
}

export const masked = (text: string | Uint8Array, opcode = 1) =>
  frame(text, { opcode, masked: true });
export const close = (code: number, fromAgent: boolean) =>
  frame(Uint8Array.of(code >> 8, code & 255), { opcode: 8, masked: fromAgent });

/** The code of the close frame a peer was sent; 0 for none. */
export function closeCode(peer: Peer): number {
  const found = peer.frames.find(({ opcode }) => opcode === 8);
  if (found === undefined) return 0;
  const bytes = Buffer.from(found.text, 'latin1');
  return bytes.length < 2 ? 1005 : bytes.readUInt16BE(0);
}

/** Collects a head and then frames from a socket. */
export function peerOn(socket: Socket, onHead: (peer: Peer) => void): void {
  let bytes = Buffer.alloc(0);
  let peer: Peer | null = null;
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    if (peer !== null) peer.ended = true;
  });
  socket.on('end', () => {
    if (peer !== null) peer.ended = true;
  });
  socket.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    if (peer === null) {
      const end = bytes.indexOf('\r\n\r\n');
      if (end === -1) return;
      const head = bytes.toString('latin1', 0, end);
      bytes = bytes.subarray(end + 4);
      peer = { socket, head, frames: [], ended: false, send: (data) => void socket.write(data) };
      onHead(peer);
    }
    for (let size = frameSize(bytes); size !== 0; size = frameSize(bytes)) {
      peer.frames.push(seen(bytes.subarray(0, size)));
      bytes = bytes.subarray(size);
    }
  });
}

/** Bytes of the first frame; 0 when it is not all there. */
function frameSize(bytes: Buffer): number {
  if (bytes.length < 2) return 0;
  const short = (bytes[1] as number) & 127;
  const head = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0);
  if (bytes.length < head) return 0;
  const payload =
    head === 2 ? short : head === 4 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  const size = head + payload + ((bytes[1] as number) > 127 ? 4 : 0);
  return bytes.length < size ? 0 : size;
}

function seen(bytes: Buffer): SeenFrame {
  const [first = 0, second = 0] = bytes;
  const isMasked = second > 127;
  const short = second & 127;
  const at = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0);
  const mask = bytes.subarray(at, at + 4);
  const payload = isMasked
    ? bytes.subarray(at + 4).map((byte, index) => byte ^ (mask[index % 4] as number))
    : bytes.subarray(at);
  const text = Buffer.from(payload).toString('latin1');
  return { opcode: first & 15, fin: first > 127, masked: isMasked, text };
}

export interface WebSocketTool {
  readonly port: number;
  /** Every connection whose request has arrived, in order. */
  readonly peers: Peer[];
}

/** The 101 of RFC 6455 for a request; `more` are further header lines. */
export function accept(request: string, more: readonly string[] = []): string {
  const key = /\r\nsec-websocket-key: *(\S+)/i.exec(request)?.[1] ?? '';
  const hash = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
  return [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${hash.digest('base64')}`,
    ...more,
    '\r\n',
  ].join('\r\n');
}

export interface ToolOptions {
  /** Bytes that answer the request; default: the 101. */
  readonly answer?: (request: string) => string;
  readonly tls?: { readonly cert: string; readonly key: string };
}

export async function stageWebSocketTool(
  t: TestContext,
  options: ToolOptions = {},
): Promise<WebSocketTool> {
  const peers: Peer[] = [];
  const sockets = new Set<Socket>();
  const serve = (socket: Socket) => {
    sockets.add(socket);
    peerOn(socket, (peer) => {
      peers.push(peer);
      socket.write((options.answer ?? accept)(peer.head));
    });
  };
  const server: Server =
    options.tls === undefined ? createServer(serve) : createTlsServer(options.tls, serve);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { port: (server.address() as AddressInfo).port, peers };
}

export const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

/** The opening of a WebSocket at a place. @param lines replace the default ones of the same name. */
export function opening(place: string, lines: readonly string[] = [], target = '/feed'): string {
  const given = new Set(lines.map((line) => line.split(':')[0]?.toLowerCase()));
  const usual = [
    `Host: ${place}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${KEY}`,
  ].filter((line) => !given.has(line.split(':')[0]?.toLowerCase()));
  const all = [...usual, ...lines.filter((line) => !line.endsWith(': -'))];
  return [`GET ${target} HTTP/1.1`, ...all, '', ''].join('\r\n');
}

/** Connects, writes the opening, and resolves when an answer's head is there. */
export async function openPeer(t: TestContext, port: number, bytes: string): Promise<Peer> {
  const socket = connect({ port, host: '127.0.0.1' });
  t.after(() => void socket.destroy());
  await once(socket, 'connect');
  return openOn(socket, bytes);
}

export function openOn(socket: Socket, bytes: string): Promise<Peer> {
  const opened = new Promise<Peer>((resolve) => peerOn(socket, resolve));
  socket.write(Buffer.from(bytes, 'latin1'));
  return opened;
}

export const reasonIn = (peer: Peer): string =>
  /\r\nx-egret-reason: (\S+)/.exec(peer.head)?.[1] ?? '';
