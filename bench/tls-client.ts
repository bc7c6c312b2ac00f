/**
 * One HTTPS connection, straight to the upstream or through a proxy that is asked with CONNECT, and the bytes of one
 * request on it. Every contender of the interception table is driven by this. Shell: owns the sockets it opens.
 */
import { connect } from 'node:net';
import { connect as connectTls, type SecureContext, type TLSSocket } from 'node:tls';
import { findAnswer } from './answer.ts';

export interface TlsTarget {
  /** Port of the proxy on loopback; null for none. */
  readonly proxyPort: number | null;
  /** Name in CONNECT, in the ClientHello and in the Host header. */
  readonly host: string;
  readonly port: number;
}

export interface Answered {
  readonly status: number;
  readonly text: string;
  readonly bytes: number;
}

const TIMEOUT_MS = 10_000;

/** @throws when the proxy says no or nobody the context trusts vouches for the name. */
export async function openTls(target: TlsTarget, secureContext: SecureContext): Promise<TLSSocket> {
  const { proxyPort, host, port } = target;
  const socket = connect({ host: '127.0.0.1', port: proxyPort ?? port, noDelay: true });
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error(`${host}: no answer`)));
  if (proxyPort !== null) {
    const place = `${host}:${port}`;
    socket.write(`CONNECT ${place} HTTP/1.1\r\nHost: ${place}\r\n\r\n`);
    const said = await new Promise<string>((resolve, reject) => {
      socket.once('error', reject).once('close', () => reject(new Error('closed')));
      socket.once('data', (chunk: Buffer) => resolve(chunk.toString('latin1')));
    });
    if (!/^HTTP\/1\.[01] 200 /.test(said)) {
      socket.destroy();
      throw new Error(`CONNECT: expected 200, got: ${said}`);
    }
    socket.removeAllListeners('close');
  }
  const tls = connectTls({ socket, secureContext, servername: host, ALPNProtocols: ['http/1.1'] });
  await new Promise<void>((resolve, reject) => {
    tls.once('secureConnect', resolve).once('error', reject);
    tls.once('close', () => reject(new Error(`${host}: closed in the handshake`)));
  });
  tls.on('error', () => tls.destroy());
  return tls;
}

/** Sends one request and takes its whole answer. Rejects when the connection ends before. */
export function ask(tls: TLSSocket, request: Buffer): Promise<Answered> {
  return new Promise((resolve, reject) => {
    let pending: Buffer = Buffer.alloc(0);
    const closed = () => reject(new Error('closed before a whole answer'));
    const look = (chunk: Buffer) => {
      pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
      const answer = findAnswer(pending);
      if (answer === null) return;
      tls.off('data', look).off('close', closed);
      const text = pending.toString('utf8', 0, answer.end);
      resolve({ status: answer.status, text, bytes: answer.end });
    };
    tls.on('data', look).once('close', closed);
    tls.write(request);
  });
}
