/**
 * TLS on both sides of a sidecar under test: a tool with a certificate of a private authority, and a client that trusts
 * what the sidecar published. Shell: owns what it starts until the test ends.
 */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import { type AddressInfo, connect as connectSocket, type Socket } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { createCertificateAuthority } from '../../src/tls/certificate-authority.ts';
import { newDirectory } from './sidecar-process.ts';
import { removeAfter } from './stage.ts';

export interface TlsTool {
  readonly port: number;
  /** PEM file of the authority that vouches for the tool. */
  readonly caFile: string;
}

/** A server with a certificate for `host` from an authority of its own. */
export async function stageTlsServer(
  t: TestContext,
  host: string,
  create: (credentials: { readonly cert: string; readonly key: string }) => Server,
): Promise<TlsTool> {
  const options = { names: [], validHours: 24, nowMs: Date.now() };
  const authority = await createCertificateAuthority(options);
  const { certificatePem: cert, keyPem: key } = await authority.issue(host, Date.now());
  const server = create({ cert, key });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const caFile = join(removeAfter(t, newDirectory()), 'tool-ca.pem');
  writeFileSync(caFile, authority.certificatePem);
  return { port: (server.address() as AddressInfo).port, caFile };
}

/** An HTTPS tool that answers every request; `received` has `Host method url` of each, in order. */
export async function stageTlsTool(
  t: TestContext,
  host: string,
): Promise<TlsTool & { readonly received: string[] }> {
  const received: string[] = [];
  const tool = await stageTlsServer(t, host, (credentials) =>
    createServer(credentials, (request, response) => {
      received.push(`${request.headers.host} ${request.method} ${request.url}`);
      request.resume();
      response.end('from the tool');
    }),
  );
  return { ...tool, received };
}

export interface TlsClient {
  readonly port: number;
  /** Server name to ask for; empty for none. */
  readonly servername: string;
  /** Sends a CONNECT for this authority first. */
  readonly connect?: string;
  /** Authority to trust; default: the bundle that the sidecar published. */
  readonly ca: string;
  readonly alpn?: readonly string[];
}

/** Resolves when the handshake is done; rejects with the TLS error, or with what the proxy said. */
export async function tlsTo(client: TlsClient): Promise<TLSSocket> {
  const socket = connectSocket({ port: client.port, host: '127.0.0.1' });
  await once(socket, 'connect');
  if (client.connect !== undefined) await openTunnel(socket, client.connect);
  const tls = connect({
    socket,
    ca: client.ca,
    servername: client.servername,
    ALPNProtocols: [...(client.alpn ?? ['http/1.1'])],
    checkServerIdentity: () => undefined,
  });
  await new Promise<void>((resolve, reject) => {
    tls.once('secureConnect', resolve);
    tls.once('error', reject);
    tls.once('close', () => reject(new Error('closed before the handshake was over')));
  });
  tls.on('error', () => tls.destroy());
  return tls;
}

async function openTunnel(socket: Socket, authority: string): Promise<void> {
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  const [head] = (await once(socket, 'data')) as [Buffer];
  const text = head.toString('latin1');
  if (!text.startsWith('HTTP/1.1 200')) throw new Error(text);
}

/** Sends bytes and reads until the connection ends. */
export async function ask(tls: TLSSocket, bytes: string): Promise<string> {
  const chunks: Buffer[] = [];
  tls.on('data', (chunk: Buffer) => chunks.push(chunk));
  tls.write(bytes);
  if (!tls.closed) await once(tls, 'close');
  return Buffer.concat(chunks).toString('latin1');
}

/** What agents are told to trust. */
export const publishedBundle = (sidecar: { readonly directory: string }) =>
  readFileSync(join(sidecar.directory, 'trust', 'bundle.pem'), 'utf8');
