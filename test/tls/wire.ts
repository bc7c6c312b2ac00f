// Sockets, authorities and programs for the tests of TLS; everything is closed when the test ends.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import {
  type CertificateAuthority,
  createCertificateAuthority,
} from '../../src/tls/certificate-authority.ts';
import { createLeafCache, type LeafCache } from '../../src/tls/leaf-cache.ts';

export function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'egret-tls-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export function fileWith(t: TestContext, name: string, content: string | Uint8Array): string {
  const file = join(temporaryDirectory(t), name);
  writeFileSync(file, content);
  return file;
}

/** A listener on loopback that pauses each connection, as the capture listeners do. */
export async function listener(
  t: TestContext,
  onConnection: (socket: Socket) => void,
): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    onConnection(socket);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

/** Both ends of one connection; the server's side is paused and unread. */
export async function pair(t: TestContext): Promise<{ client: Socket; server: Socket }> {
  const accepted = Promise.withResolvers<Socket>();
  const port = await listener(t, accepted.resolve);
  const client = connect(port, '127.0.0.1');
  client.on('error', () => client.destroy());
  t.after(() => client.destroy());
  return { client, server: await accepted.promise };
}

export interface Minted {
  readonly authority: CertificateAuthority;
  readonly cache: LeafCache;
}

export async function minted({
  names = [] as readonly string[],
  leavesMax = 100,
} = {}): Promise<Minted> {
  const nowMs = Date.now();
  const authority = await createCertificateAuthority({ names, validHours: 1, nowMs });
  const cache = createLeafCache({
    leavesMax,
    authority: () => Promise.resolve(authority),
    nowMs: Date.now,
  });
  return { authority, cache };
}

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

/** Runs a program to its end, at most 20 s; a program that is not there is an error. */
export function run(
  program: string,
  args: readonly string[],
  { env = {}, input = '' }: { env?: Readonly<Record<string, string>>; input?: string } = {},
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const options = { env: { PATH: process.env['PATH'], ...env }, timeout: 20_000 };
    const child = execFile(program, args, options, (error, out, stderr) => {
      if (error?.code === 'ENOENT') reject(error);
      else resolve({ code: error === null ? 0 : Number(error.code ?? 1), out, error: stderr });
    });
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}
