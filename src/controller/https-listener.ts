/**
 * One HTTPS listener with a certificate from files that somebody else renews. Shell: owns the listener.
 */
import type { RequestListener, ServerOptions } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { StartError } from '../sidecar/start-error.ts';
import { followTls, readTls, type TlsFiles } from './tls-files.ts';

export interface HttpsListening {
  /** Field of the configuration, named in errors. */
  readonly name: string;
  readonly at: { readonly host: string; readonly port: number };
  readonly tls: TlsFiles;
  readonly options: ServerOptions;
  /** Told when a renewed certificate cannot be used. */
  readonly failed: (error: unknown) => void;
}

export interface HttpsListener {
  readonly address: string;
  readonly port: number;
  close(): Promise<void>;
}

const CLOSE_GRACE_MS = 2000;

/** @throws StartError */
export async function openHttps(
  app: RequestListener,
  { name, at, tls: files, options, failed }: HttpsListening,
): Promise<HttpsListener> {
  const named = (error: unknown) =>
    new StartError(`${name}: ${(error as Error).message}`, { cause: error });
  let tls: ReturnType<typeof readTls>;
  try {
    tls = readTls(files);
  } catch (error) {
    throw named(error);
  }
  const server = createServer({ ...tls, ...options }, app);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(named(error)));
    server.listen(at, resolve);
  });
  const { address, port } = server.address() as AddressInfo;
  const stopFollowing = followTls(server, files, tls, failed);
  return {
    address,
    port,
    close: async () => {
      stopFollowing();
      await closed(server);
    },
  };
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
    server.close(() => {
      clearTimeout(cut);
      resolve();
    });
    server.closeIdleConnections();
  });
}
