/**
 * The certificate of the distributor, from files that somebody else renews. A new one is in force for new connections
 * without a restart; one that cannot be used leaves the old one in force and is told. Shell: owns one timer.
 */
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContextOptions, type Server } from 'node:tls';

export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** Projected Secrets change about once a minute. */
const LOOK_MS = 10_000;

/** @throws Error naming the file. */
export function readTls({ certFile, keyFile }: TlsFiles): SecureContextOptions {
  const read = (file: string) => {
    try {
      return readFileSync(file, 'utf8');
    } catch (error) {
      const { code = 'unknown error' } = error as NodeJS.ErrnoException;
      throw new Error(`${file}: cannot be read (${code})`, { cause: error });
    }
  };
  const options = { cert: read(certFile), key: read(keyFile), minVersion: 'TLSv1.2' } as const;
  try {
    createSecureContext(options);
  } catch (error) {
    throw new Error(`${certFile}: found no certificate that fits ${keyFile}, expected PEM`, {
      cause: error,
    });
  }
  return options;
}

/** @returns what stops it. */
export function followTls(
  server: Pick<Server, 'setSecureContext'>,
  files: TlsFiles,
  now: SecureContextOptions,
  failed: (error: unknown) => void,
  lookMs: number = LOOK_MS,
): () => void {
  let inForce = now;
  const timer = setInterval(() => {
    try {
      const next = readTls(files);
      if (next.cert === inForce.cert && next.key === inForce.key) return;
      server.setSecureContext(next);
      inForce = next;
    } catch (error) {
      failed(error);
    }
  }, lookMs);
  timer.unref();
  return () => clearInterval(timer);
}
